"""Error bodies, which are AWS's."""

from __future__ import annotations

from llmgate.formats.bedrock_converse.errors import ERROR_TYPE, decode_error, encode_error, error_status, type_of

__all__ = ["ERROR_TYPE", "decode_error", "encode_error", "error_status", "type_of"]
