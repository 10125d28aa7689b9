"""Writes and reads objects with botocore until a time, and prints the number of requests that failed."""
import os
import time

import botocore.config
import botocore.session

config = botocore.config.Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
client = botocore.session.get_session().create_client(
    "s3", endpoint_url=os.environ["S3_ENDPOINT"], region_name="us-east-1", config=config)
requests = failed = 0
key = f"botocore-{os.getpid()}"
while time.time() < float(os.environ["UNTIL"]):
    try:
        client.put_object(Bucket="bucket", Key=key, Body=b"content")
        assert client.get_object(Bucket="bucket", Key=key)["Body"].read() == b"content"
    except Exception as error:  # Each is a failure, whatever it is.
        failed += 1
        print("#", error)
    requests += 2
    time.sleep(1)
print(requests, failed)
