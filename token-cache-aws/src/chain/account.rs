//! [`account_of`]: the account of a long-term access key.

/// The account that the id of a long-term key of AWS contains. `None` for ids of before 2019, of sessions, and of other
/// services than AWS.
///
/// `aws sts get-access-key-info` tells the same. What follows the prefix is base32: one bit that is set, and 40 bits of
/// the account.
pub(super) fn account_of(access_key_id: &str) -> Option<u64> {
    let digits = access_key_id.strip_prefix("AKIA").filter(|digits| digits.len() == 16)?;
    let digits: Vec<u64> = digits.bytes().map(base32).collect::<Option<_>>()?;
    let start = digits.iter().take(10).fold(0, |bits, digit| bits << 5 | digit);
    let account = start >> 9 & ((1 << 40) - 1);
    (start >> 49 == 1 && account <= 999_999_999_999).then_some(account)
}

fn base32(digit: u8) -> Option<u64> {
    match digit {
        b'A'..=b'Z' => Some(u64::from(digit - b'A')),
        b'2'..=b'7' => Some(u64::from(digit - b'2') + 26),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_in_the_id() {
        assert_eq!(account_of("AKIAY34FZKBOKMUTVV7A"), Some(609_629_065_308));
    }

    #[test]
    fn other_ids_contain_no_account() {
        let others = ["AKIAIOSFODNN7EXAMPLE", "ASIAY34FZKBOKMUTVV7A", "AKIAY34FZKBOKMUTVV71", "AKIAY34F", "minioadmin"];
        assert_eq!(others.map(account_of), [None; 5]);
    }
}
