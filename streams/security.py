"""The broker's credentials as Faust takes them."""

from __future__ import annotations

import ssl
from typing import Any

from faust.auth import SASLCredentials, SSLCredentials

from streams.settings import Endpoints


def faust_credentials(endpoints: Endpoints) -> Any:
    """Faust's credentials object for the same settings that aiokafka gets; None for plain text."""
    options = endpoints.kafka
    context: ssl.SSLContext | None = options.get("ssl_context")
    if "sasl_mechanism" in options:
        return SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return None if context is None else SSLCredentials(context)
