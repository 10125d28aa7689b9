//! [`is_local`]: what is at an address of this machine.

use std::net::{IpAddr, Ipv6Addr};

use http::Uri;

/// Whether a URI is at a loopback or a link-local address, as the metadata services and the agents of containers are.
pub(super) fn is_local(uri: &str) -> bool {
    let Some(uri) = uri.parse::<Uri>().ok() else { return false };
    let Some(host) = uri.host() else { return false };
    match host.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => match ip.to_ipv4_mapped() {
            Some(ip) => ip.is_loopback() || ip.is_link_local(),
            None => ip.is_loopback() || ip.is_unicast_link_local() || is_of_metadata_services(ip),
        },
        Err(_) => host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost"),
    }
}

/// `fd00:ec2::/32`, where the metadata service and the agent of EKS Pod Identity are.
fn is_of_metadata_services(ip: Ipv6Addr) -> bool {
    ip.segments()[..2] == [0xfd00, 0xec2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_are_local() {
        for host in
            ["169.254.170.23", "127.0.0.1:80", "localhost", "[::1]:80", "[fd00:ec2::23]", "[fe80::1]", "LOCALHOST"]
        {
            assert!(is_local(&format!("http://{host}/v1/credentials")), "{host}");
        }
        for host in ["sts.amazonaws.com", "10.0.0.1", "169.253.0.1", "[fd00:ec3::1]", "localhost.example.com"] {
            assert!(!is_local(&format!("http://{host}/")), "{host}");
        }
    }
}
