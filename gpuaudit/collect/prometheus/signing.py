"""AWS Signature Version 4 for requests, by botocore, which also finds the credentials."""

import re
from typing import Any

from requests import PreparedRequest
from requests.auth import AuthBase

from gpuaudit.errors import UserError


class SigV4(AuthBase):
    """Signs each request with the session's credentials, renewed by botocore when they expire."""

    def __init__(self, credentials: Any, service: str, region: str) -> None:
        self._credentials = credentials
        self._service = service
        self._region = region

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the headers of the signature."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        path, mark, query = (request.url or "").partition("?")
        request.url = path + mark + query.replace("+", "%20")  # a space, which the signature knows in this form alone
        kept = {name: value for name, value in request.headers.items() if name.lower() in ("content-type", "host")}
        signed = AWSRequest(method=request.method, url=request.url, data=request.body or b"", headers=kept)
        SigV4Auth(self._credentials.get_frozen_credentials(), self._service, self._region).add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        return request


def signer(service: str, host: "re.Match[str] | None") -> SigV4:
    """Return what signs for a service whose host name tells the region. UserError without library or credentials."""
    try:
        from botocore.session import Session
    except ImportError:
        raise UserError(
            "Amazon's Prometheus wants signed requests, and botocore is not installed",
            hint="install it with: pip install 'gpuaudit[aws]', or put aws-sigv4-proxy in front and name that URL",
        ) from None
    credentials = Session().get_credentials()
    if credentials is None:
        raise UserError("no AWS credentials to sign with", hint="log in: aws sts get-caller-identity must work")
    return SigV4(credentials, service, (host["region"] if host else "") or "us-east-1")
