// An OpenID provider (oidc-provider, which is certified) for the tests: it has clients with tokens of seconds, Entra ID's path
// and claims for Azure, and a count of the token requests of each client.
//
//   node provider.mjs PACKAGE CERTIFICATE KEY HTTP_PORT HTTPS_PORT
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';

const [, , location, certificate, key, httpPort, httpsPort] = process.argv;
const { default: Provider } = await import(`${location}/lib/index.js`);

const AZURE = 'https://storage.azure.com';

const client = (id, lifetime, more) => ({
  client_id: id,
  client_secret: `secret-of-${id}`,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  lifetime,
  ...more,
});

const provider = new Provider('https://sts.windows.net/tenant/', {
  clients: [
    client('azure', 8, { token_endpoint_auth_method: 'client_secret_post' }),
    client('gcs', 8),
    client('metadata', 10),
    client('google', 15),
    client('revoked', 600),
    client('rotated', 8, { grant_types: ['authorization_code', 'refresh_token'], redirect_uris: ['https://localhost/'], response_types: ['code'] }),
    client('proxy', 600),
  ],
  extraClientMetadata: { properties: ['lifetime'] },
  clockTolerance: 0,
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      // In Entra ID the scope names the resource.
      defaultResource: (ctx) => (ctx.oidc.params.scope?.startsWith(`${AZURE}/`) ? AZURE : undefined),
      getResourceServerInfo: () => ({ scope: '', audience: AZURE, accessTokenFormat: 'jwt' }),
    },
    revocation: { enabled: true },
  },
  formats: {
    customizers: {
      jwt: (ctx, token, { payload }) => {
        payload.nbf = payload.iat;
      },
    },
  },
  rotateRefreshToken: true,
  routes: { token: '/tenant/oauth2/v2.0/token' },
  ttl: {
    AccessToken: (ctx, token, client) => client.lifetime,
    ClientCredentials: (ctx, token, client) => client.lifetime,
    Grant: 600,
    RefreshToken: 600,
  },
});

const requests = {};
provider.on('grant.success', (ctx) => {
  (requests[ctx.oidc.client.clientId] ??= { succeeded: 0, failed: 0 }).succeeded += 1;
});
provider.on('grant.error', (ctx) => {
  (requests[ctx.oidc.client?.clientId] ??= { succeeded: 0, failed: 0 }).failed += 1;
});

provider.use(async (ctx, next) => {
  if (ctx.path === '/requests') {
    ctx.body = requests;
  } else if (ctx.path === '/login') {
    ctx.body = { refresh_token: await login(ctx.query.client) };
  } else {
    await next();
  }
});

// Creates the refresh token of a user's login.
async function login(clientId) {
  const grant = new provider.Grant({ accountId: 'user', clientId });
  grant.addOIDCScope('offline_access');
  const token = new provider.RefreshToken({
    accountId: 'user',
    client: await provider.Client.find(clientId),
    grantId: await grant.save(),
    gty: 'authorization_code',
    scope: 'offline_access',
  });
  return token.save();
}

http.createServer(provider.callback()).listen(httpPort, '127.0.0.1');
https
  .createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, provider.callback())
  .listen(httpsPort, '127.0.0.1');
