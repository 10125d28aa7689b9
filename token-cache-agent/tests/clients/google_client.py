"""Gets access tokens with google-auth until a time, and prints the number of requests that failed."""
import os
import time

import google.auth
import google.auth.transport.requests

requests = failed = 0
tokens = set()
while time.time() < float(os.environ["UNTIL"]):
    try:
        credentials, project = google.auth.default()
        assert project == "project-7", project
        credentials.refresh(google.auth.transport.requests.Request())
        assert credentials.token
        tokens.add(credentials.token)
    except Exception as error:
        failed += 1
        print("#", error)
    requests += 1
    time.sleep(1)
print(requests, failed, len(tokens))
