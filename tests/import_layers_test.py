"""Holds the direction of imports inside kure_tf: only from lower rows."""

import ast
import collections

from absl.testing import absltest
from module_imports import ROOT, imports_of, module_name

# DESIGN: values on the ground, verbs above, pages on the roof, the paper next
# door. A part imports from lower rows; inside its own, only what INSIDE says.
HOUSE = (
    ("version", "extras", "progress"),
    ("files", "compat", "ops", "data", "settings"),
    ("quantizers", "measurements", "evaluation", "regularizers", "models"),
    ("fake_quantized", "pages"),
    ("integer_graph",),
    ("ptq", "qat", "training", "export"),
    ("artifact",),
    ("sweeps",),
    ("runs",),
    ("paper",),
)
ROWS = {part: row for row, parts in enumerate(HOUSE) for part in parts}
INSIDE = {"settings": ("files", "ops"), "data": ("files", "compat")}
# The share of the lines of kure_tf that one part may have.
LARGEST_SHARE = 0.15

KERASES = ("keras", "tf_keras")
ONLY_IN_FUNCTIONS = (
    *("matplotlib", "pandas", "jinja2", "tensorboard"),
    *("tensorflow_datasets", "ai_edge_litert"),
)
TFMOT = "tensorflow_model_optimization"

SOURCES = sorted((ROOT / "kure_tf").rglob("*.py"))


def part_of(module):
    """Returns the part that a module of kure_tf belongs to, such as "ops"."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def root_of(module):
    return module.partition(".")[0]


def place(path, line):
    return f"{path.relative_to(ROOT)}:{line}"


def in_tfmot(path):
    return module_name(path).startswith("kure_tf.qat.tfmot")


def may_import_keras(path):
    return (
        module_name(path).startswith("kure_tf.compat.")
        or in_tfmot(path)
        or path.stem == "to_tf_keras"
    )


def is_tf_keras(node):
    """Whether a node of a syntax tree reaches Keras through TensorFlow."""
    if isinstance(node, ast.Attribute):
        return ast.unparse(node) in ("tf.keras", "tensorflow.keras")
    if isinstance(node, ast.ImportFrom):
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        return False
    return any(f"{name}.".startswith("tensorflow.keras.") for name in names)


class ImportLayersTest(absltest.TestCase):
    def test_sources_are_found(self):
        self.assertNotEmpty(SOURCES)

    def test_every_part_has_a_row(self):
        for path in SOURCES:
            part = part_of(module_name(path))
            if part:
                self.assertIn(part, ROWS, f"{place(path, 1)}: give it a row.")

    def test_imports_go_to_lower_rows(self):
        wrong = []
        for path in SOURCES:
            importer = part_of(module_name(path))
            if not importer:  # kure_tf/__init__.py, above all rows.
                continue
            for found in imports_of(path):
                if root_of(found.module) != "kure_tf":
                    continue
                imported = part_of(found.module)
                if not imported:
                    wrong.append(
                        f"{place(path, found.line)}: imports kure_tf itself; "
                        "import from the module that defines it."
                    )
                elif not self._allowed(importer, imported):
                    wrong.append(
                        f"{place(path, found.line)}: {importer} (row "
                        f"{ROWS[importer]}) imports {imported} (row "
                        f"{ROWS[imported]})."
                    )
        self.assertEmpty(wrong, "\n".join(wrong))

    def _allowed(self, importer, imported):
        if importer == imported or ROWS[imported] < ROWS[importer]:
            return True
        return imported in INSIDE.get(importer, ())

    def test_no_part_outgrows_the_house(self):
        lines = collections.Counter()
        for path in SOURCES:
            lines[part_of(module_name(path))] += len(
                path.read_text(encoding="utf-8").splitlines()
            )
        part, largest = lines.most_common(1)[0]
        self.assertLessEqual(largest, LARGEST_SHARE * lines.total(), part)

    def test_only_tools_import_the_paper(self):
        wrong = [
            place(path, found.line)
            for path in SOURCES
            if part_of(module_name(path)) != "paper"
            for found in imports_of(path)
            if part_of(found.module) == "paper"
        ]
        self.assertEmpty(wrong)

    def test_only_compat_and_the_exceptions_import_a_keras(self):
        wrong = [
            place(path, found.line)
            for path in SOURCES
            for found in imports_of(path)
            if root_of(found.module) in KERASES and not may_import_keras(path)
        ]
        self.assertEmpty(wrong, "Write `from kure_tf.compat import keras`.")

    def test_only_compat_and_the_exceptions_reach_tf_keras(self):
        wrong = [
            place(path, node.lineno)
            for path in SOURCES
            if not may_import_keras(path)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if is_tf_keras(node)
        ]
        self.assertEmpty(wrong, "Write `from kure_tf.compat import keras`.")

    def test_ops_know_no_keras_at_all(self):
        wrong = [
            place(path, found.line)
            for path in (ROOT / "kure_tf" / "ops").rglob("*.py")
            for found in imports_of(path)
            if root_of(found.module) in KERASES
            or found.module.startswith("kure_tf.compat")
        ]
        self.assertEmpty(wrong)

    def test_only_qat_tfmot_imports_tensorflow_model_optimization(self):
        wrong = [
            place(path, found.line)
            for path in SOURCES
            for found in imports_of(path)
            if root_of(found.module) == TFMOT and not in_tfmot(path)
        ]
        self.assertEmpty(wrong)

    def test_heavy_modules_are_imported_inside_functions(self):
        wrong = [
            place(path, found.line)
            for path in SOURCES
            for found in imports_of(path)
            if root_of(found.module) in ONLY_IN_FUNCTIONS and not found.deferred
        ]
        self.assertEmpty(wrong)


if __name__ == "__main__":
    absltest.main()
