"""A credential_process: assumes a role and prints the session."""

import json
import os

import botocore.config
import botocore.session

client = botocore.session.get_session().create_client(
    "sts",
    region_name="us-east-1",
    endpoint_url=os.environ["MINT_ENDPOINT"],
    aws_access_key_id=os.environ["MINT_KEY"],
    aws_secret_access_key=os.environ["MINT_SECRET"],
    # botocore rejects a duration of seconds.
    config=botocore.config.Config(parameter_validation=False),
)
session = client.assume_role(RoleArn=os.environ["MINT_ROLE"], RoleSessionName="process", DurationSeconds=6)["Credentials"]
print(json.dumps({
    "Version": 1,
    "AccessKeyId": session["AccessKeyId"],
    "SecretAccessKey": session["SecretAccessKey"],
    "SessionToken": session["SessionToken"],
    "Expiration": session["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
}))
