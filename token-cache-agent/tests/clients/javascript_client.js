// Writes and reads objects with the AWS SDK for JavaScript until a time, and prints the number of requests that failed.
const { S3Client, PutObjectCommand, GetObjectCommand } = require("@aws-sdk/client-s3");

async function main() {
  const client = new S3Client({ endpoint: process.env.S3_ENDPOINT, region: "us-east-1", forcePathStyle: true, maxAttempts: 1 });
  const Bucket = "bucket", Key = `javascript-${process.pid}`;
  let requests = 0, failed = 0;
  while (Date.now() < 1000 * Number(process.env.UNTIL)) {
    try {
      await client.send(new PutObjectCommand({ Bucket, Key, Body: "content" }));
      const body = await (await client.send(new GetObjectCommand({ Bucket, Key }))).Body.transformToString();
      if (body !== "content") throw new Error(body);
    } catch (error) {
      failed += 1;
      console.log("#", error.message);
    }
    requests += 2;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  console.log(requests, failed);
}

main();
