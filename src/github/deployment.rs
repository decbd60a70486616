//! Deployments and commit statuses: what GitHub shows of a deploy beside its commit and its environment.
//!
//! Owns the order: a deployment is made when work begins, and ends with a status; then those before it are no longer
//! the active ones.

use serde_json::{Value, json};

use super::client::{Client, Failure};

/// The task of our deployments, by which those of others in the same environment are told apart.
const TASK: &str = "deploy:ghdeploy";

/// How many deployments before ours are looked at: more than one active one is left only by runs that were killed.
const BEFORE: usize = 10;

/// A way to the deployments of a repository.
#[derive(Debug, Clone)]
pub struct Deployments {
    /// The way to the API.
    pub client: Client,
    /// `owner/name` of the repository.
    pub repository: String,
    /// The page of this run.
    pub log_url: Option<String>,
}

/// What a deployment is of.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The host, as an environment.
    pub environment: &'a str,
    /// Where people see what is deployed there.
    pub url: Option<&'a str>,
    /// The commit.
    pub commit: &'a str,
}

impl Deployments {
    /// Tells that a deploy begins; returns the number of the deployment.
    ///
    /// # Errors
    ///
    /// When GitHub refuses or is not reached.
    pub async fn begin(&self, subject: Subject<'_>) -> Result<u64, Failure> {
        let body = json!({
            "ref": subject.commit,
            "task": TASK,
            // Nothing is merged and nothing is waited for: what is deployed is decided already.
            "auto_merge": false,
            "required_contexts": [],
            "environment": subject.environment,
            "description": "ghdeploy",
        });
        let made = self.client.post(&self.route(""), &body).await?;
        let id = made.body["id"].as_u64();
        let id = id.ok_or_else(|| {
            Failure::Unreachable("it does not tell the number of the deployment".to_owned())
        })?;
        self.status(id, "in_progress", "being deployed", subject.url).await?;
        Ok(id)
    }

    /// Tells what became of it. If that is good, those before it are not active any more.
    ///
    /// # Errors
    ///
    /// As [`Deployments::begin`].
    pub async fn end(
        &self,
        id: u64,
        subject: Subject<'_>,
        is_well: bool,
        description: &str,
    ) -> Result<(), Failure> {
        self.status(id, if is_well { "success" } else { "failure" }, description, subject.url).await?;
        if !is_well {
            return Ok(());
        }
        let route = self.route(&format!(
            "?environment={}&task={}&per_page={BEFORE}",
            encoded(subject.environment),
            encoded(TASK)
        ));
        let known = self.client.get(&route).await?.body;
        let before = known.as_array().into_iter().flatten().filter_map(|known| known["id"].as_u64());
        for before in before.filter(|before| *before < id) {
            let last = self.client.get(&self.route(&format!("/{before}/statuses?per_page=1"))).await?.body;
            let state = last.pointer("/0/state").and_then(Value::as_str).unwrap_or("pending");
            if matches!(state, "success" | "in_progress" | "queued" | "pending") {
                self.status(before, "inactive", "replaced", None).await?;
            }
        }
        Ok(())
    }

    /// Sets the status of a commit.
    ///
    /// # Errors
    ///
    /// As [`Deployments::begin`].
    pub async fn commit(
        &self,
        subject: Subject<'_>,
        is_well: bool,
        description: &str,
    ) -> Result<(), Failure> {
        let mut body = json!({
            "state": if is_well { "success" } else { "failure" },
            "context": format!("ghdeploy/{}", subject.environment),
            "description": description,
        });
        if let Some(url) = &self.log_url {
            body["target_url"] = json!(url);
        }
        self.client
            .post(&format!("/repos/{}/statuses/{}", self.repository, subject.commit), &body)
            .await
            .map(drop)
    }

    async fn status(
        &self,
        id: u64,
        state: &str,
        description: &str,
        url: Option<&str>,
    ) -> Result<(), Failure> {
        let mut body = json!({"state": state, "description": description, "auto_inactive": false});
        if let Some(log) = &self.log_url {
            body["log_url"] = json!(log);
        }
        if let Some(url) = url {
            body["environment_url"] = json!(url);
        }
        self.client.post(&self.route(&format!("/{id}/statuses")), &body).await.map(drop)
    }

    fn route(&self, rest: &str) -> String {
        format!("/repos/{}/deployments{rest}", self.repository)
    }
}

/// A value of a query.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut word, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => word.push(byte.into()),
            byte => word.push_str(&format!("%{byte:02X}")),
        }
        word
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_of_any_name_is_one_value() {
        assert_eq!(encoded("web-1.example_x"), "web-1.example_x");
        assert_eq!(encoded("a&b=ö/ c"), "a%26b%3D%C3%B6%2F%20c");
    }
}
