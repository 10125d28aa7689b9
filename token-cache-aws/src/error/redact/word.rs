//! [`is_word`]: letters that form words, and not a random secret.

/// Whether a text consists of ASCII letters that are a word, an acronym, or words in camel case.
///
/// Each part must consist of pairs of letters that occur in English or technical words. Of random strings of 16 lower-case
/// letters, 1 in 100 does.
pub(super) fn is_word(letters: &str) -> bool {
    if letters.len() > MAX_LEN || !letters.bytes().all(|c| c.is_ascii_alphabetic()) {
        return false;
    }
    let (mut rest, mut parts, mut short, mut acronyms) = (letters, 0, 0, 0);
    while !rest.is_empty() {
        let (part, after) = rest.split_at(part_len(rest.as_bytes()));
        if part.len() > MAX_PART_LEN || !(is_acronym(part) || has_common_pairs(part)) {
            return false;
        }
        (rest, parts) = (after, parts + 1);
        short += usize::from(part.len() < 3);
        acronyms += usize::from(is_acronym(part));
    }
    // Capital letters are rarer in names than in random strings.
    parts == 1 || 2 * letters.len() >= 7 * parts && short <= 1 && acronyms <= 1
}

/// The length of the first part of a name in camel case: `HTTPSConnectionPool` has `HTTPS`, `Connection` and `Pool`.
fn part_len(letters: &[u8]) -> usize {
    let upper = letters.iter().take_while(|c| c.is_ascii_uppercase()).count();
    let lower = letters[upper..].iter().take_while(|c| c.is_ascii_lowercase()).count();
    match (upper, lower) {
        // "IDs"
        (_, 0) => upper,
        (2.., 1) if letters[upper] == b's' => upper + 1,
        (0 | 1, _) => upper + lower,
        _ => upper - 1,
    }
}

fn is_acronym(part: &str) -> bool {
    part.len() <= MAX_ACRONYM_LEN && part.trim_end_matches('s').bytes().all(|c| c.is_ascii_uppercase())
}

fn has_common_pairs(part: &str) -> bool {
    let part = part.to_ascii_lowercase();
    part.as_bytes().windows(2).all(|pair| PAIRS[usize::from(pair[0] - b'a')].contains(char::from(pair[1])))
}

const MAX_LEN: usize = 40;
const MAX_PART_LEN: usize = 20;
const MAX_ACRONYM_LEN: usize = 5;

/// For each letter, the letters that follow it in English and in the names of AWS and of programs.
const PAIRS: [&str; 26] = [
    "abcdefghiklmnopqrstuvwxyz",  // a
    "abcdefgijklmorstuvyz",       // b
    "abcdefhiklmopqrstuvy",       // c
    "abcdefghijlmnoprstuvwxy",    // d
    "abcdefghijklmnopqrstuvwxyz", // e
    "abcdefgilorstuy",            // f
    "abcdefghilmnorstuy",         // g
    "abdeiklmnoprstuwy",          // h
    "abcdefgklmnopqrstuvxz",      // i
    "aeiosu",                     // j
    "abcdefgilnopqrstuwy",        // k
    "abcdefghijklmnoprstuvwy",    // l
    "abcdefgilmnopstuvyz",        // m
    "abcdefghijklmnoprqstuvwyz",  // n
    "abcdefghijklmnopqrstuvwxyz", // o
    "abcdefghiklmnopqrstuvwy",    // p
    "lu",                         // q
    "abcdefghijklmnopqrstuvwy",   // r
    "abcdefghiklmnopqrstuvwxy",   // s
    "abcdefghilmnoprstuvwxyz",    // t
    "abcdefgiklmnoprstuvxyz",     // u
    "aceimosuy",                  // v
    "adefhilnorsty",              // w
    "abcdefhimopstuxy",           // x
    "abcdefghilmnopstuvwyz",      // y
    "adeilosuyz",                 // z
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_names_are_words() {
        for word in [
            "a",
            "of",
            "IAM",
            "STS",
            "IDs",
            "HTTPS",
            "expired",
            "Reader",
            "PASSWORD",
            "AssumeRoleWithWebIdentity",
            "DynamoDB",
            "HTTPSConnectionPool",
            "ExpiredTokenException",
            "unauthorized",
            "background",
            "workflow",
            "injection",
            "roleArn",
            "deployment",
            "kubernetes",
            "localhost",
            "amazonaws",
            "always",
            "dummy",
            "heavy",
            "medium",
            "opaque",
            "awsapps",
        ] {
            assert!(is_word(word), "{word}");
        }
    }

    #[test]
    fn random_letters_are_no_word() {
        for random in ["kXvQmBtL", "qzxkvbnm", "bPxRfiCYEXAMPLEKEY", "AKIAQZXKWVJB", "aBcDeFgH", "XKQJZWVB", "a!"] {
            assert!(!is_word(random), "{random}");
        }
    }
}
