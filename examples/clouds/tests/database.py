"""A proxy that authenticates logins to PostgreSQL as RDS does: ministack checks signature, times and session of a password.

    GATEWAY_PORT=... ministack's-python database.py PORT POSTGRESQL_PORT LOG

Runs ministack in this process, which is the only one that knows its sessions. Each line of the log is one login: `ok KEY` or
`refused REASON`.
"""

import asyncio
import json
import os
import struct
import sys
import threading

import botocore.session
from ministack.app import main
from ministack.core.rds_iam import RdsIamTokenError, verify_rds_iam_token

PORT, POSTGRESQL, LOG = int(sys.argv.pop(1)), int(sys.argv.pop(1)), sys.argv.pop(1)
ACCOUNT = "000000000000"
TLS = 80877103  # the code of a request for it


def create_role():
    iam = botocore.session.get_session().create_client(
        "iam", region_name="us-east-1", endpoint_url=f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}",
        aws_access_key_id="test", aws_secret_access_key="test",
    )
    principal = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.create_role(RoleName="database", AssumeRolePolicyDocument=trust)


async def log_in(reader, writer):
    length, code = struct.unpack("!II", await reader.readexactly(8))
    if code == TLS:
        writer.write(b"N")
        length, code = struct.unpack("!II", await reader.readexactly(8))
    startup = struct.pack("!II", length, code) + await reader.readexactly(length - 8)
    names = startup[8:].split(b"\0")
    user = names[names.index(b"user") + 1].decode()

    writer.write(b"R" + struct.pack("!II", 8, 3))
    kind, length = struct.unpack("!cI", await reader.readexactly(5))
    password = (await reader.readexactly(length - 4)).rstrip(b"\0").decode()
    verified = verify_rds_iam_token(
        password, hostname="127.0.0.1", port=PORT, db_user=user, region="us-east-1", account_id=ACCOUNT
    )
    refused = isinstance(verified, RdsIamTokenError)
    with open(LOG, "a") as log:
        print("refused " + verified.code if refused else "ok " + verified.access_key_id, file=log)
    if refused:
        error = f"SFATAL\0C28P01\0Mpassword authentication failed: {verified.code}\0\0".encode()
        writer.write(b"E" + struct.pack("!I", len(error) + 4) + error)
        return
    inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", POSTGRESQL)
    inner_writer.write(startup)
    await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))


async def copy(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def handle(reader, writer):
    try:
        await log_in(reader, writer)
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # a connection that only tests whether the port is open
    finally:
        writer.close()


async def serve():
    await asyncio.to_thread(create_role)
    server = await asyncio.start_server(handle, "127.0.0.1", PORT)
    await server.serve_forever()


threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
main()
