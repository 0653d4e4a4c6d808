"""File formats by content: the first bytes of a file name its format, whatever its extension."""

from __future__ import annotations

from transfercli.data.archive_members import is_regular, read_bytes

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
# First bytes of images that are not read, in words.
_OTHER_IMAGES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\x0a", "a JPEG XL file"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL file"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 file"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    (b"8BPS", "a Photoshop file"),
    (b"\x76\x2f\x31\x01", "an OpenEXR file"),
    (b"SIMPLE  =", "a FITS file"),
    (b"qoif", "a QOI file"),
    (b"FUJIFILMCCD-RAW", "a raw file of a camera"),
    (b"IIU\0", "a raw file of a camera"),
    (b"IIRO", "a raw file of a camera"),
)
# First bytes of other files that are often found under the name of an image, in words.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"\0\0\1\0", "an ICO file"),
    (b"%PDF", "a PDF file"),
    (b"%!PS", "a PostScript file"),
    (b"PK\3\4", "a ZIP file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"<svg", "an SVG drawing"),
    (b"{", "a JSON file"),
)
# First bytes of files that stand in for an image that is elsewhere, in words.
_STAND_INS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the image: run `git lfs pull`"),
    (b"/annex/objects/", "a git-annex pointer, not the image: run `git annex get`"),
    (b"<!doctype html", "a web page, not an image: the download failed"),
    (b"<html", "a web page, not an image: the download failed"),
)
_TEXT = frozenset(range(32, 127)) | {9, 10, 13}


def first_bytes(file: str, most: int = HEAD_BYTES) -> bytes:
    """Return the first bytes of a file, all if `most` is -1; b"" if it cannot be read or is not a regular file."""
    try:
        if not is_regular(file):  # opening a pipe would block
            return b""
        return read_bytes(file, most)
    except (OSError, ValueError):
        return b""


def format_of(head: bytes) -> str:
    """Return the format by the first bytes, a key of `EXTENSIONS`, or "" for others."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and not _TEXT.issuperset(head):
        return "BMP"
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


def stand_in(head: bytes) -> str:
    """Return words for a file that stands in for an image, such as a Git LFS pointer, or ""."""
    return _named(_STAND_INS, head)


def other_image(head: bytes) -> str:
    """Return an image format that is not read, in words such as `a JPEG XL file`, or ""."""
    return _named(_OTHER_IMAGES, head)


def describe(head: bytes) -> str:
    """Return the kind of a file that is not read, in words; "" if it is not known."""
    start, name = _text_start(head), other_image(head) or _named(_OTHERS, head)
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


def _named(signatures: tuple[tuple[bytes, str], ...], head: bytes) -> str:
    start = _text_start(head)
    return next((words for signature, words in signatures if start.startswith(signature.lower())), "")


def _text_start(head: bytes) -> bytes:
    """Return the first bytes in lower case, without a byte order mark and white space."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:512].lower()


def _ascii(brand: bytes) -> str:
    return brand.decode("ascii", "backslashreplace").strip()
