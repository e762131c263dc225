//! Base45 (RFC 9285), where one text means one sequence of bytes and the other way round.
//!
//! The crate writes. Reading is done here: the crate cuts two last characters above 255
//! down to a byte, so two texts would mean the same, and it is the slower half of
//! reading a code.

/// The text of some bytes.
pub(super) fn encode(bytes: &[u8]) -> String {
    ::base45::encode(bytes)
}

/// The bytes of a text; `None` if [`encode`] would never have written it.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let (triples, rest) = text.as_bytes().as_chunks::<3>();
    let mut bytes = Vec::with_capacity(text.len() / 3 * 2 + 1);
    for &[low, middle, high] in triples {
        let number = digit(low)? + digit(middle)? * 45 + digit(high)? * 45 * 45;
        bytes.extend_from_slice(&u16::try_from(number).ok()?.to_be_bytes());
    }
    match rest {
        [] => {}
        [low, high] => bytes.push(u8::try_from(digit(*low)? + digit(*high)? * 45).ok()?),
        _ => return None,
    }
    Some(bytes)
}

/// The alphanumeric characters of a QR code, in order (RFC 9285, table 1).
fn digit(character: u8) -> Option<u32> {
    let digit = match character {
        b'0'..=b'9' => character - b'0',
        b'A'..=b'Z' => character - b'A' + 10,
        b' ' => 36,
        b'$' => 37,
        b'%' => 38,
        b'*' => 39,
        b'+' => 40,
        b'-' => 41,
        b'.' => 42,
        b'/' => 43,
        b':' => 44,
        _ => return None,
    };
    Some(u32::from(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_rfc_9285_are_read_and_written() {
        for (bytes, text) in [
            ("AB", "BB8"),
            ("Hello!!", "%69 VD92EX0"),
            ("base-45", "UJCLQE7W581"),
            ("ietf!", "QED8WEX0"),
            ("", ""),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
    }

    #[test]
    fn every_short_text_is_refused_or_written_back_the_same() {
        let all = (0..=255).map(char::from);
        let texts = all.clone().flat_map(|a| all.clone().map(move |b| format!("{a}{b}")));
        for text in
            texts.flat_map(|text| [text.clone(), format!("GG{text}"), format!("{text}W"), format!("{text}X")])
        {
            match decode(&text) {
                Some(bytes) => assert_eq!(encode(&bytes), text),
                None => {
                    assert!(::base45::decode(&text).map_or(true, |bytes| encode(&bytes) != text), "{text:?}")
                }
            }
        }
    }
}
