"""File formats by content: the first bytes of a file name its format, whatever its extension."""

from __future__ import annotations

HEAD_BYTES = 4096

# Format that is read -> its file extensions. The names are Pillow's.
EXTENSIONS: dict[str, frozenset[str]] = {
    "JPEG": frozenset({".jpg", ".jpeg", ".jpe", ".jfif"}),
    "PNG": frozenset({".png"}),
    "BMP": frozenset({".bmp", ".dib"}),
    "GIF": frozenset({".gif"}),
    "WEBP": frozenset({".webp"}),
    "TIFF": frozenset({".tif", ".tiff"}),
    "AVIF": frozenset({".avif"}),
    "HEIF": frozenset({".heic", ".heif", ".hif"}),
}
FORMATS = tuple(EXTENSIONS)

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),  # BigTIFF, with offsets of 64 bits
    (b"MM\0+", "TIFF"),
)
# Brands of the ISO base media file format (ISO/IEC 14496-12, 23008-12; AV1 Image File Format).
_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIF",
    b"heix": "HEIF",
    b"heim": "HEIF",
    b"heis": "HEIF",
    b"hevc": "HEIF",
    b"hevx": "HEIF",
}
_GENERAL_BRANDS = frozenset({b"mif1", b"msf1", b"miaf"})  # the codec is among the compatible brands
# First bytes of files that are often found under the name of an image, in words.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer in place of the file (git lfs pull fetches it)"),
    (b"\xff\x0a", "a JPEG XL file"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL file"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 file"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    (b"8BPS", "a Photoshop file"),
    (b"\0\0\1\0", "an ICO file"),
    (b"%PDF", "a PDF file"),
    (b"%!PS", "a PostScript file"),
    (b"PK\3\4", "a ZIP file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x76\x2f\x31\x01", "an OpenEXR file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"SIMPLE  =", "a FITS file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"qoif", "a QOI file"),
    (b"FUJIFILMCCD-RAW", "a raw file of a camera"),
    (b"IIU\0", "a raw file of a camera"),
    (b"IIRO", "a raw file of a camera"),
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"{", "a JSON file"),
)
_TEXT = frozenset(range(32, 127)) | {9, 10, 13}


def format_of(head: bytes) -> str:
    """Return the format by the first bytes, a key of `EXTENSIONS`, or "" for others."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        return _iso_media_format(head)
    return next((name for signature, name in _SIGNATURES if head.startswith(signature)), "")


def _iso_media_format(head: bytes) -> str:
    """Return the format of an ISO media file by its major brand or, if that is a general one, by a compatible brand."""
    box = head[: min(int.from_bytes(head[:4], "big"), HEAD_BYTES)]
    brands = [box[start : start + 4] for start in (8, *range(16, len(box) - 3, 4))]
    if brands[0] not in _BRANDS and brands[0] not in _GENERAL_BRANDS:
        return ""
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), "")


def describe(head: bytes) -> str:
    """Return the kind of a file that is not read, in words, such as `a JPEG XL file`; "" if it is not known."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:512].lower()
    name = next((name for signature, name in _OTHERS if start.startswith(signature.lower())), "")
    if head[:4] == b"RIFF":
        return f"a RIFF file ({_ascii(head[8:12])})"
    if head[4:8] == b"ftyp":
        return f"a video or another media file ({_ascii(head[8:12])})"
    if head[128:132] == b"DICM":
        return "a DICOM file"
    if head[:1] == b"P" and head[1:2] in b"1234567" and head[2:3] in b"\n \t\r#":
        return "a PNM file"
    if start.startswith(b"<?xml"):
        return "an SVG drawing" if b"<svg" in head.lower() else "an XML file"
    return name or ("a text file" if head and _TEXT.issuperset(head) else "")


def _ascii(brand: bytes) -> str:
    return brand.decode("ascii", "backslashreplace").strip()
