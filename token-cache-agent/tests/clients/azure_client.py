"""Gets access tokens with azure-identity until a time, and prints the number of requests that failed."""
import os
import time

from azure.identity import ManagedIdentityCredential

requests = failed = 0
tokens = set()
while time.time() < float(os.environ["UNTIL"]):
    try:
        # A new one each time: a credential keeps its token until 5 minutes before the expiry.
        tokens.add(ManagedIdentityCredential().get_token("https://storage.azure.com/.default").token)
    except Exception as error:
        failed += 1
        print("#", error)
    requests += 1
    time.sleep(1)
print(requests, failed, len(tokens))
