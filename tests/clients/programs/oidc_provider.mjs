// A certified OpenID provider that gives a client access tokens that are JWTs (RFC 9068).
import { Provider } from 'oidc-provider';

const [port, algorithm] = process.argv.slice(2);
const { privateKey } = await crypto.subtle.generateKey(
  algorithm === 'ES256'
    ? { name: 'ECDSA', namedCurve: 'P-256' }
    : { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) },
  true,
  ['sign', 'verify'],
);
const { key_ops, ext, ...jwk } = await crypto.subtle.exportKey('jwk', privateKey);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys: [{ ...jwk, use: 'sig', alg: algorithm, kid: `key-${process.pid}` }] },
  clients: [
    { client_id: 'app', client_secret: 'secret', grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
      id_token_signed_response_alg: algorithm },
  ],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({
        scope: 'llm.chat llm.embeddings',
        audience: resource,
        accessTokenFormat: 'jwt',
        accessTokenTTL: 600,
        jwt: { sign: { alg: algorithm } },
      }),
    },
  },
});
provider.listen(Number(port), '127.0.0.1');
