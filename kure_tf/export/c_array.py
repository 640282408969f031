"""A file as C source, for microcontrollers without a file system."""

import re

_BYTES_PER_LINE = 12


def c_array(content, name="model") -> str:
    """Returns C source that defines the bytes of a file as an array.

    What `xxd -i` prints, but constant, so that it stays in flash memory, and
    at an address that is a multiple of 16, which LiteRT for Microcontrollers
    reads a file at:

        #include <stdalign.h>

        alignas(16) const unsigned char model[] = {
          0x1c, 0x00, 0x00, 0x00, 0x54, 0x46, 0x4c, 0x33, ...
        };
        const unsigned int model_len = 300304;

    It is C11; in C++ put `extern` in front of both definitions, since
    constants are seen in their own file only there.

    Args:
        content: The bytes of the file.
        name: Name of the array, an identifier of C.

    Raises:
        ValueError: If `name` is none, or `content` is empty, which no array of
            C can be.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(
            "Expected a name of letters, digits and underscores that does not "
            f"start with a digit, as C has them. Received: {name!r}."
        )
    if not content:
        raise ValueError("Expected the bytes of a file. Received none.")
    lines = [
        ", ".join(f"0x{byte:02x}" for byte in content[i : i + _BYTES_PER_LINE])
        for i in range(0, len(content), _BYTES_PER_LINE)
    ]
    values = ",\n  ".join(lines)
    return (
        "#include <stdalign.h>\n\n"
        f"alignas(16) const unsigned char {name}[] = {{\n  {values}\n}};\n"
        f"const unsigned int {name}_len = {len(content)};\n"
    )
