//! [`http_client`]: sends what is for this machine past any proxy.
//!
//! The metadata services and the agents of containers are at link-local or loopback addresses. A proxy would see their
//! authorization tokens, and would reach its own metadata service.

use std::net::{IpAddr, Ipv6Addr};

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use http::Uri;

pub(super) fn http_client() -> SharedHttpClient {
    SharedHttpClient::new(LocalDirect { direct: client(ProxyConfig::disabled), proxied: client(ProxyConfig::from_env) })
}

/// As the SDK's default client.
fn client(proxy: fn() -> ProxyConfig) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = ConnectorBuilder::default().tls_provider(Provider::Rustls(CRYPTO));
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.set_proxy_config(Some(proxy()));
        connector.build()
    })
}

#[cfg(feature = "https")]
const CRYPTO: CryptoMode = CryptoMode::AwsLc;
#[cfg(not(feature = "https"))]
const CRYPTO: CryptoMode = CryptoMode::Ring;

/// One of two clients or connectors, by the address of the request.
#[derive(Debug)]
struct LocalDirect<T> {
    direct: T,
    proxied: T,
}

impl HttpClient for LocalDirect<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(LocalDirect {
            direct: self.direct.http_connector(settings, components),
            proxied: self.proxied.http_connector(settings, components),
        })
    }
}

impl HttpConnector for LocalDirect<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = if is_local(request.uri()) { &self.direct } else { &self.proxied };
        connector.call(request)
    }
}

fn is_local(uri: &str) -> bool {
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
