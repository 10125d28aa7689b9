//! ministack: users, roles, and the calls of STS.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use object_store::aws::AwsCredential;
use serde_json::{Value, json};
use token_cache_testing::aws::AccessKey;
use tokio::task::JoinHandle;

use crate::load::BUCKET;
use crate::wire::{element, query, send, session};
use crate::{SECOND, setting};

/// The lifetime of a session. The cache refreshes it after 3 s, and its last 1.5 s are left for requests on their way.
pub(crate) const LIFETIME: Duration = Duration::from_secs(6);

/// A user who may assume roles and use the bucket.
pub(crate) struct User {
    name: String,
    pub(crate) key: AwsCredential,
}

pub(crate) fn endpoint() -> String {
    setting("TOKEN_CACHE_MINISTACK")
}

impl User {
    pub(crate) async fn new(name: &str) -> Self {
        let http = http::Request::put(format!("{}/{BUCKET}", endpoint())).body(Vec::new()).unwrap();
        send(http, Some((&root(), "s3"))).await;
        iam("CreateUser", &[("UserName", name)]).await;
        let policy = allow(&["sts:AssumeRole", "s3:*"]);
        iam("PutUserPolicy", &[("UserName", name), ("PolicyName", "all"), ("PolicyDocument", &policy)]).await;
        let key = iam("CreateAccessKey", &[("UserName", name)]).await;
        let key = AwsCredential {
            key_id: element(&key, "AccessKeyId").to_owned(),
            secret_key: element(&key, "SecretAccessKey").to_owned(),
            token: None,
        };
        Self { name: name.to_owned(), key }
    }

    pub(crate) fn credentials(&self) -> Credentials {
        Credentials::new(&self.key.key_id, &self.key.secret_key, None, None, "test")
    }

    /// A role that this user may assume, with this external id. The role may assume further roles.
    pub(crate) async fn role(&self, name: &str, external_id: Option<&str>) -> String {
        role(name, &format!("arn:aws:iam::{ACCOUNT}:user/{}", self.name), external_id).await
    }
}

/// A role that `principal` may assume.
pub(crate) async fn role(name: &str, principal: &str, external_id: Option<&str>) -> String {
    let condition = match external_id {
        Some(id) => json!({ "StringEquals": { "sts:ExternalId": id } }),
        None => json!({}),
    };
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow", "Principal": { "AWS": principal }, "Action": "sts:AssumeRole", "Condition": condition
        }]
    });
    let answer = iam("CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &trust.to_string())]).await;
    let policy = allow(&["sts:AssumeRole", "s3:*"]);
    iam("PutRolePolicy", &[("RoleName", name), ("PolicyName", "all"), ("PolicyDocument", &policy)]).await;
    element(&answer, "Arn").to_owned()
}

/// A new session of `role`.
pub(crate) async fn mint(user: &AwsCredential, role: &str) -> AccessKey {
    let duration = LIFETIME.as_secs().to_string();
    let parameters = [("RoleArn", role), ("RoleSessionName", "minted"), ("DurationSeconds", &*duration)];
    session(&query(&endpoint(), "sts", "AssumeRole", &parameters, Some(user)).await)
}

/// Counts the `AssumeRole` calls of each role in ministack's audit log.
pub(crate) struct Audit {
    events: Arc<Mutex<BTreeSet<(String, String)>>>,
    watch: JoinHandle<()>,
}

impl Audit {
    pub(crate) fn start() -> Self {
        let events = Arc::<Mutex<BTreeSet<_>>>::default();
        let watch = tokio::spawn({
            let events = Arc::clone(&events);
            // The log returns only the last 50 events.
            async move {
                loop {
                    read_log(&events).await;
                    tokio::time::sleep(SECOND / 2).await;
                }
            }
        });
        Self { events, watch }
    }

    /// The number of calls for `role`, including those that failed.
    pub(crate) async fn calls(&self, role: &str) -> u64 {
        read_log(&self.events).await;
        self.events.lock().unwrap().iter().filter(|(called, _)| called == role).count() as u64
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

async fn read_log(known: &Mutex<BTreeSet<(String, String)>>) {
    // ministack's name for a call in the query protocol.
    let body = json!({ "LookupAttributes": [{ "AttributeKey": "EventName", "AttributeValue": "POST.sts" }], "MaxResults": 50 });
    let request = http::Request::post(endpoint())
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents")
        .body(body.to_string().into_bytes())
        .unwrap();
    let answer: Value = serde_json::from_str(&send(request, Some((&root(), "cloudtrail"))).await).unwrap();
    let events = answer["Events"].as_array().unwrap().iter();
    let events = events.map(|event| serde_json::from_str::<Value>(event["CloudTrailEvent"].as_str().unwrap()).unwrap());
    known.lock().unwrap().extend(events.filter_map(|event| {
        let role = event["requestParameters"]["RoleArn"].as_str()?;
        Some((role.to_owned(), event["eventID"].as_str()?.to_owned()))
    }));
}

async fn iam(action: &str, parameters: &[(&str, &str)]) -> String {
    query(&endpoint(), "iam", action, parameters, Some(&root())).await
}

fn allow(actions: &[&str]) -> String {
    let statement = json!([{ "Effect": "Allow", "Action": actions, "Resource": "*" }]);
    json!({ "Version": "2012-10-17", "Statement": statement }).to_string()
}

/// The key of the root user in ministack.
fn root() -> AwsCredential {
    AwsCredential { key_id: "test".into(), secret_key: "test".into(), token: None }
}

const ACCOUNT: &str = "000000000000";
