//! Platforms of images. Pure.

/// Whether an image of the platform `there`, such as `linux/arm64/v8`, is one for `wanted`, as a compose file
/// names it: `linux/arm64`, `arm64` or `linux`. Only the parts that both name count.
#[must_use]
pub fn fits(wanted: &str, there: &str) -> bool {
    let mut parts = there.split('/');
    let (os, architecture, variant) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let wanted: Vec<&str> = wanted.split('/').collect();
    let same =
        |wanted: &str, there: &str| wanted.is_empty() || there.is_empty() || normal(wanted) == normal(there);
    match wanted[..] {
        [one] => same(one, os) || same(one, architecture),
        [own, machine] => same(own, os) && same(machine, architecture),
        [own, machine, kind, ..] => same(own, os) && same(machine, architecture) && same(kind, variant),
        [] => true,
    }
}

/// The name that Go gives an operating system or an architecture.
fn normal(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    match lower.as_str() {
        "x86_64" | "x86-64" => "amd64".to_owned(),
        "i386" | "i686" => "386".to_owned(),
        "aarch64" => "arm64".to_owned(),
        "armhf" | "armel" => "arm".to_owned(),
        "macos" => "darwin".to_owned(),
        _ => lower.trim_start_matches('v').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_that_both_name_decide() {
        for (wanted, there, is_fit) in [
            ("linux/amd64", "linux/amd64/", true),
            ("linux/x86_64", "linux/amd64/", true),
            ("linux/arm64", "linux/amd64/", false),
            ("linux/arm64", "linux/arm64/v8", true),
            ("linux/arm64/v8", "linux/arm64/", true),
            ("linux/arm/v6", "linux/arm/v7", false),
            ("arm64", "linux/arm64/v8", true),
            ("linux", "linux/amd64/", true),
            ("windows", "linux/amd64/", false),
        ] {
            assert_eq!(fits(wanted, there), is_fit, "{wanted} {there}");
        }
    }
}
