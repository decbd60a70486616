//! The text of a glob: lists, and braces with slashes in them.
//!
//! Owns what globset does not do, because it matches whole paths. Pure.

/// Most globs that the braces of one may stand for.
pub(super) const MAX_ALTERNATIVES: usize = 1_000;

/// Whether nothing in a text has a meaning in a glob.
pub(super) fn is_plain(text: &str) -> bool {
    !text.contains(['*', '?', '[', ']', '{', '}', '\\'])
}

/// Globs without braces that a glob stands for.
pub(super) fn alternatives(glob: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![glob.to_owned()];
    while let Some(glob) = open.pop() {
        match first_braces(&glob) {
            None => done.push(glob),
            Some((start, commas, end)) => {
                let edges: Vec<usize> =
                    std::iter::once(start).chain(commas).chain(std::iter::once(end)).collect();
                let inner = edges.windows(2).map(|pair| &glob[pair[0] + 1..pair[1]]);
                open.extend(inner.map(|inner| format!("{}{inner}{}", &glob[..start], &glob[end + 1..])));
            }
        }
        if done.len() + open.len() > MAX_ALTERNATIVES {
            break;
        }
    }
    // Those that were not looked at are still counted.
    done.extend(open);
    done.sort();
    done.dedup();
    done
}

/// The first braces of a glob: where they begin, their own commas, and where they end.
fn first_braces(glob: &str) -> Option<(usize, Vec<usize>, usize)> {
    let (mut start, mut commas, mut depth) = (None, Vec::new(), 0_usize);
    for (at, token) in tokens(glob) {
        match token {
            '{' => {
                start = start.or(Some(at));
                depth += 1;
            }
            ',' if depth == 1 => commas.push(at),
            '}' if depth == 1 => return Some((start?, commas, at)),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Splits a list of globs at its commas, except for those in braces and in brackets.
pub(in crate::cli) fn listed(globs: &str) -> Vec<&str> {
    let (mut listed, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, token) in tokens(globs) {
        match token {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                listed.push(&globs[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    listed.push(&globs[start..]);
    listed.into_iter().map(str::trim).filter(|glob| !glob.is_empty()).collect()
}

/// The characters of a glob that are neither escaped nor in brackets, with their positions.
fn tokens(glob: &str) -> impl Iterator<Item = (usize, char)> {
    let mut characters = glob.char_indices().peekable();
    std::iter::from_fn(move || {
        loop {
            let (at, character) = characters.next()?;
            match character {
                '\\' => drop(characters.next()),
                '[' => {
                    // `[]a]` and `[!]a]` contain a bracket.
                    let closing = glob[at + 1..].char_indices().find(|(from, c)| {
                        *c == ']' && !matches!(&glob[at + 1..at + 1 + from], "" | "!" | "^")
                    });
                    if let Some((from, _)) = closing {
                        while characters.peek().is_some_and(|(next, _)| *next <= at + 1 + from) {
                            characters.next();
                        }
                    }
                }
                character => return Some((at, character)),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_split_at_its_own_commas() {
        for (list, globs) in [
            ("a.xml", &["a.xml"][..]),
            ("a.xml,b/*.xml", &["a.xml", "b/*.xml"]),
            (" a.xml , ,b.xml,", &["a.xml", "b.xml"]),
            ("{a,b}.xml,c.xml", &["{a,b}.xml", "c.xml"]),
            ("a[,]b.xml", &["a[,]b.xml"]),
            ("a[]{,]b,c", &["a[]{,]b", "c"]),
            ("a\\,b.xml", &["a\\,b.xml"]),
            ("", &[]),
        ] {
            assert_eq!(listed(list), globs, "{list}");
        }
    }

    #[test]
    fn braces_stand_for_several_globs() {
        for (glob, globs) in [
            ("a", &["a"][..]),
            ("{a,b/c}/d", &["a/d", "b/c/d"]),
            ("{a,{b,c}}{,x}", &["a", "ax", "b", "bx", "c", "cx"]),
            ("{}", &[""]),
            ("a[{,}]b", &["a[{,}]b"]),
            ("a\\{b,c\\}", &["a\\{b,c\\}"]),
        ] {
            assert_eq!(alternatives(glob), globs, "{glob}");
        }
        assert!(alternatives(&"{a,b}".repeat(40)).len() > MAX_ALTERNATIVES);
    }
}
