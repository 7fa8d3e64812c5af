"""An OpenID Connect provider on this machine, which people sign in at without a form."""

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "client", "s3cret"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
JWK = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))


class Provider:
    """The server. `faults` are the answers at some paths, as (status, body); None says nothing."""

    def __init__(self):
        self.codes, self.tokens, self.faults, self.asked = {}, {}, {}, []
        server = self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.provider = self
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.address = f"127.0.0.1:{server.server_port}"
        self.url = f"http://{self.address}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def sign_in(self, url: str, **claims) -> str:
        """Let a person sign in at the page that the site has sent them to; return where it leads.

        Without claims they refuse.
        """
        assert url.startswith(f"{self.url}/authorize?"), url
        answer = requests.get(
            url, headers={"X-Person": json.dumps(claims)}, allow_redirects=False, timeout=5
        )
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    # The pages

    def discovery(self, request):
        return 200, {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/jwks",
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }

    def jwks(self, request):
        return 200, {"keys": [JWK | {"kid": "1", "alg": "RS256", "use": "sig"}]}

    def authorize(self, request):
        asked = {name: values[0] for name, values in parse_qs(request.query).items()}
        assert asked["client_id"] == CLIENT
        assert asked["response_type"] == "code"
        assert "email" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256"
        claims = json.loads(request.headers["X-Person"])
        code = secrets.token_urlsafe()
        self.codes[code] = asked | {"claims": claims}
        answer = {"code": code} if claims else {"error": "access_denied"}
        query = urlencode(answer | {"state": asked["state"]})
        return 302, f"{asked['redirect_uri']}?{query}"

    def token(self, request):
        form = {name: values[0] for name, values in parse_qs(request.body).items()}
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        is_client = request.headers["Authorization"] == f"Basic {basic}" or (
            form.get("client_id"),
            form.get("client_secret"),
        ) == (CLIENT, SECRET)
        asked = self.codes.pop(form["code"], None)  # good once
        verifier = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if (
            asked is None
            or not is_client
            or form["redirect_uri"] != asked["redirect_uri"]
            or challenge != asked["code_challenge"]
        ):
            return 400, {"error": "invalid_grant"}
        token = secrets.token_urlsafe()
        self.tokens[token] = asked["claims"]
        times = {"iat": int(time.time()), "exp": int(time.time()) + 60}
        identity = {"iss": self.url, "aud": CLIENT, **times, **asked["claims"]}
        signed = jwt.encode(identity, KEY, "RS256", {"kid": "1"})
        return 200, {"access_token": token, "token_type": "Bearer", "id_token": signed}

    def userinfo(self, request):
        return 200, self.tokens[request.headers["Authorization"].removeprefix("Bearer ")]


class Handler(BaseHTTPRequestHandler):
    def answer(self):
        provider = self.server.provider
        parts = urlsplit(self.path)
        self.query = parts.query
        self.body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
        name = parts.path.strip("/").replace(".well-known/openid-configuration", "discovery")
        provider.asked.append(name)
        status, content = provider.faults.get(name) or getattr(provider, name)(self)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", content)
            content = ""
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(
            content.encode() if isinstance(content, str) else json.dumps(content).encode()
        )

    do_GET = do_POST = answer  # noqa: N815 (names of the library's)

    def log_message(self, *args):
        pass
