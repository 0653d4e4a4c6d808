"""Head of an answer of a decoding worker; a server reads it, and need not import Pillow for it."""

from __future__ import annotations

import struct

ANSWER = struct.Struct("<?I")  # True if pixels follow, False for the reason why there are none; and its size in bytes
