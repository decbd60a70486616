//! Encodings of a report. Pure.

use encoding_rs::Encoding;

/// Decodes a document by its byte order mark or its own declaration.
pub(super) fn decoded(bytes: &[u8]) -> Result<String, String> {
    let (encoding, marked) = match Encoding::for_bom(bytes) {
        Some((encoding, _)) => (encoding, true),
        None => {
            let head: String = bytes.iter().take(200).map(|byte| char::from(*byte)).collect();
            let named =
                head.strip_prefix("<?xml").and_then(|head| head.split_once("?>")).and_then(|(head, _)| {
                    let (_, value) = head.split_once("encoding")?;
                    let value = value.trim_start().strip_prefix('=')?.trim_start();
                    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
                    value[1..].split_once(quote).map(|(name, _)| name)
                });
            let encoding = match named {
                Some(name) => Encoding::for_label(name.as_bytes())
                    .ok_or_else(|| format!("its encoding {name} is not known"))?,
                None => encoding_rs::UTF_8,
            };
            // A text in UTF-16 without a byte order mark could not have been read up to here.
            (
                if encoding == encoding_rs::UTF_16LE || encoding == encoding_rs::UTF_16BE {
                    encoding_rs::UTF_8
                } else {
                    encoding
                },
                false,
            )
        }
    };
    let (text, had_errors) = if marked {
        encoding.decode_with_bom_removal(bytes)
    } else {
        encoding.decode_without_bom_handling(bytes)
    };
    if had_errors {
        return Err(format!("it is not written in {}", encoding.name()));
    }
    Ok(text.into_owned())
}
