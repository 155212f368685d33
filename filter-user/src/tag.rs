//! The cluster's identity in the To tags of our responses: how it is made, and its form in text.

use crate::responder::TagSecret;

const DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A new identity, from the system's random numbers.
pub fn generate() -> Result<TagSecret, getrandom::Error> {
    let mut prefix = [0_u8; 8];
    let mut key = [0_u8; 16];
    getrandom::fill(&mut prefix)?;
    getrandom::fill(&mut key)?;
    // 256 is no multiple of 36: four digits are a bit likelier. The prefix has to be unlike others', not secret.
    let prefix = prefix.map(|byte| DIGITS[usize::from(byte) % DIGITS.len()]);
    Ok(TagSecret { prefix, key })
}

/// Prefix, and key in hexadecimal.
pub fn to_text(tag: &TagSecret) -> (String, String) {
    let prefix = tag.prefix.iter().copied().map(char::from).collect();
    let key = tag.key.iter().map(|byte| format!("{byte:02x}")).collect();
    (prefix, key)
}

/// The reverse of [`to_text`]; `None` if it is not what that makes.
pub fn from_text(prefix: &str, key: &str) -> Option<TagSecret> {
    let prefix: [u8; 8] = prefix.as_bytes().try_into().ok()?;
    let digits: [u8; 32] = key.as_bytes().try_into().ok()?;
    if !prefix.iter().all(|byte| DIGITS.contains(byte)) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0_u8; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(TagSecret { prefix, key: bytes })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{from_text, generate, to_text};

    #[test]
    fn a_new_tag_survives_its_text_form_and_is_no_other() {
        let tag = generate().unwrap();
        let (prefix, key) = to_text(&tag);
        let back = from_text(&prefix, &key).unwrap();
        assert_eq!((back.prefix, back.key), (tag.prefix, tag.key));
        assert_ne!(generate().unwrap().key, tag.key);
    }

    #[rstest]
    #[case::short_prefix("abc", "00112233445566778899aabbccddeeff")]
    #[case::upper_case("ABCDEFGH", "00112233445566778899aabbccddeeff")]
    #[case::header_injection("a\r\nb: c", "00112233445566778899aabbccddeeff")]
    #[case::short_key("abcdefgh", "0011")]
    #[case::not_hexadecimal("abcdefgh", "+0112233445566778899aabbccddeeff")]
    #[case::not_ascii("abcdefgh", "é0112233445566778899aabbccddeef")]
    fn what_is_no_tag(#[case] prefix: &str, #[case] key: &str) {
        assert!(from_text(prefix, key).is_none());
    }
}
