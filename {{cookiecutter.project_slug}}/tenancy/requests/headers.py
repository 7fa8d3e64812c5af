"""Headers that tell browsers what a page may do. It needs django-csp."""

from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from csp.utils import build_policy
from django.conf import settings


class HeadersMiddleware(CSPMiddleware):
    """Adds CONTENT_SECURITY_POLICY and RESPONSE_HEADERS. A view's own header of that name stays.

    django-csp builds a policy for each answer, which takes as long as some views do. The usual one
    is built once; where a view has changed it, used a nonce, or has another, the library builds it.
    """

    def __init__(self, get_response):
        super().__init__(get_response)
        policy = settings.CONTENT_SECURITY_POLICY
        is_simple = not (settings.DEBUG or policy.keys() - {"DIRECTIVES"})
        has_reports = getattr(settings, "CONTENT_SECURITY_POLICY_REPORT_ONLY", None)
        self.usual = build_policy() if is_simple and not has_reports else None
        self.headers = settings.RESPONSE_HEADERS.items()

    def __call__(self, request):
        self.process_request(request)
        return self.process_response(request, self.get_response(request))

    def process_response(self, request, response):
        for name, value in self.headers:
            response.headers.setdefault(name, value)
        if self.usual is None or "_csp_nonce" in vars(request) or is_changed(response):
            return super().process_response(request, response)
        response.headers.setdefault(HEADER, self.usual)
        return response


def is_changed(response) -> bool:
    """Return whether one of django-csp's decorators has marked the response."""
    return any(name.startswith("_csp") for name in vars(response))
