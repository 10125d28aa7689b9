//! Secrets that must not be printed, and the search for them.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

// In malformed responses.
pub(crate) const KEY_ID: &str = "ASIAQ7X4MZ2PLT9KC3VB";
pub(crate) const SECRET: &str = "kX9vQ2mB7tLw4Zr8/Ny3Hc6+Fd1Js5GpTa0UeWqo";
pub(crate) const TOKEN: &str = "IQoJb3JpZ2luX2VjEPr7T4sWx9KdLm2cQvZ0uYb6NhRj1GfAe8XoPi5S/CtUw3DkMa+gJq4nBzVy\
                                7HlEs0rF9OxTpWc2mIu6Kd8Zv1Lb5QeYhNj3RgAf==";
/// The start of the secret, in responses that are cut off.
pub(crate) const HALF: &str = "kX9vQ2mB7tLw4Zr8/Ny3Hc6+Fd1J";

// In good responses.
pub(crate) const GOOD_KEY_ID: &str = "ASIAW5R8NJ3HGD6YF2TS";
pub(crate) const GOOD_SECRET: &str = "p7Yc3Kj9Lq1Wm5Xz/Dn8Rb2+Tf6Vs4HgUa0EiOeo";
pub(crate) const GOOD_TOKEN: &str = "FwoGZXIvYXdzEJ3t8Lw5Xr1Kq9Zm4Pd7Vb2Nc6Hy0Gs/Tj3Fu8Ra5Ei+Qo1Wl7Yx4Mk9Cz2Bv6Dn0Jp==";

// In requests to an issuer.
pub(crate) const BASE_KEY_ID: &str = "AKIA3F9XK7QW2MZ8RL5D";
pub(crate) const BASE_SECRET: &str = "Zt6Gm1Qw8Xk4Hv9+Jc2Pn7Ry5Lb3Sd/Fa0TuEiOe";
pub(crate) const JWT: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjdYOSJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6cTg3In0.\
                              Rk3vT9xPq2LmZ7cWb5NdYh8JgS1KfAe6UoRi4QuXt0Ml";

/// Of other services, without a name that announces them.
pub(crate) const KINDS: [(&str, &str); 9] = [
    ("a UUID", "7c9e6679-7425-40de-944b-e07fc1f90ae7"),
    ("a password with symbols", "x9#kL2$pQ7!mN4%z"),
    ("an Azure client secret", "abc8Q~Xk2LmN.pQrS-tUvW_xYz7Kd93LmQ2pRt5vWbCdE"),
    ("a hexadecimal key", "d41d8cd98f00b204e9800998ecf8427e"),
    ("a base32 key", "JBSWY3DPEHPK3PXPGEZDGNBVGY3TQOJQ"),
    ("a secret of AWS with slashes", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("a GitHub token", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
    ("a Vault token", "hvs.CAESIJlU9JMYEhOPYv4igdhm9PnZDrabYTobQ4Ymnlq1qY"),
    ("a number", "4929123485671234"),
];

const ALL: [(&str, &str); 9] = [
    ("the key id", KEY_ID),
    ("the secret", SECRET),
    ("the token", TOKEN),
    ("the good key id", GOOD_KEY_ID),
    ("the good secret", GOOD_SECRET),
    ("the good token", GOOD_TOKEN),
    ("the base's key id", BASE_KEY_ID),
    ("the base's secret", BASE_SECRET),
    ("the JWT", JWT),
];

/// The names of the secrets of which `text` has eight consecutive characters.
pub(crate) fn leaks_in(text: &str) -> BTreeSet<&'static str> {
    static PARTS: LazyLock<HashMap<&[u8], &str>> = LazyLock::new(|| {
        ALL.iter()
            .chain(&KINDS)
            .flat_map(|(name, secret)| secret.as_bytes().windows(8).map(|part| (part, *name)))
            .collect()
    });
    text.as_bytes().windows(8).filter_map(|part| PARTS.get(part).copied()).collect()
}

#[test]
fn eight_characters_of_a_secret_are_a_leak() {
    assert!(leaks_in(&format!("text {} text", &TOKEN[3..11])).contains("the token"));
    assert!(leaks_in(&format!("text {} text, and no secret", &TOKEN[3..10])).is_empty());
}
