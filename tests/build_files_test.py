"""Holds BUILD and MODULE.bazel against the tree, without Bazel.

Both are written in Starlark, of which they use only what is also Python. BUILD
is run here with functions of our own in place of Bazel's rules.
"""

import ast
import configparser
import sys
from dataclasses import dataclass

from absl.testing import absltest
from module_imports import ROOT, imports_of, module_name

# Distributions whose name is not that of the module they install.
DISTRIBUTIONS = {
    "absl": "absl_py",
    "PIL": "pillow",
    "google": "protobuf",
}

# What Starlark lacks of Python, as far as a slip is likely.
NOT_STARLARK = (
    ast.Import,
    ast.ImportFrom,
    ast.ClassDef,
    ast.JoinedStr,
    ast.While,
    ast.Try,
    ast.With,
    ast.For,  # Allowed in functions only.
)


@dataclass(frozen=True)
class Target:
    """One rule of BUILD.

    Attributes:
        kind: "py_library", "py_binary" or "py_test".
        name: Without the colon.
        srcs: Paths relative to the root of the repository.
        deps: Labels, such as ":ops" or "@pypi//numpy".
        data: Paths relative to the root of the repository.
    """

    kind: str
    name: str
    srcs: tuple
    deps: tuple
    data: tuple


def glob(include, exclude=()):
    """Returns what Bazel's `glob` does: sorted paths of files.

    Raises:
        ValueError: If a pattern matches nothing, which Bazel refuses too.
    """
    found = set()
    for pattern in include:
        files = _files(pattern)
        if not files:
            raise ValueError(f"No file matches {pattern!r}.")
        found |= files
    return sorted(found.difference(*map(_files, exclude)))


def _files(pattern):
    return {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.glob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }


def targets():
    """Returns `{name: Target}` of BUILD."""
    found = {}

    def rule(kind):
        def add(*, name, srcs, deps=(), data=(), **unused):
            if name in found:
                raise ValueError(f"BUILD has two targets named {name!r}.")
            found[name] = Target(
                kind, name, tuple(srcs), tuple(deps), tuple(data)
            )

        return add

    kinds = ("py_library", "py_binary", "py_test")
    functions = {kind: rule(kind) for kind in kinds}
    functions |= {"glob": glob, "load": _ignored, "package": _ignored}
    code = (ROOT / "BUILD").read_text(encoding="utf-8")
    exec(compile(code, "BUILD", "exec"), {"__builtins__": {}, **functions})
    return found


def _ignored(*args, **kwargs):
    pass


def label_of(module):
    """Returns the label that a target which imports `module` depends on.

    None for the standard library.
    """
    parts = module.split(".")
    if parts[0] == "kure_tf":
        return f":{parts[1]}" if len(parts) > 1 else ":kure_tf"
    if (ROOT / f"{parts[0]}.py").is_file():
        return f":{parts[0]}"
    for folder in ("tools", "tests"):
        if (ROOT / folder / f"{parts[0]}.py").is_file():
            return f":{folder}/{parts[0]}"
    if parts[0] in sys.stdlib_module_names:
        return None
    return f"@pypi//{DISTRIBUTIONS.get(parts[0], parts[0])}"


def needed(target):
    """Returns the labels that the imports of a target's sources call for."""
    labels = {
        label_of(found.module)
        for source in target.srcs
        for found in imports_of(ROOT / source)
    }
    return sorted(labels - {None, f":{target.name}"})


def part_name(path):
    """Returns the target that a source file of kure_tf belongs to."""
    parts = module_name(path).split(".")
    return parts[1] if len(parts) > 1 else "kure_tf"


def as_written(name, labels):
    lines = "".join(f'        "{label}",\n' for label in labels)
    return f"In BUILD, target {name!r}:\n    deps = [\n{lines}    ],"


TARGETS = targets()
PARTS = {}  # {target name: paths of its sources}, from the tree.
for _path in sorted((ROOT / "kure_tf").rglob("*.py")):
    PARTS.setdefault(part_name(_path), []).append(
        _path.relative_to(ROOT).as_posix()
    )


class BuildTest(absltest.TestCase):
    def test_build_is_starlark(self):
        for name in ("BUILD", "MODULE.bazel"):
            tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                self.assertNotIsInstance(node, NOT_STARLARK, name)

    def test_every_part_of_kure_tf_has_a_library_with_its_sources(self):
        libraries = {
            name: sorted(target.srcs)
            for name, target in TARGETS.items()
            if target.kind == "py_library" and name in PARTS
        }
        for name, sources in PARTS.items():
            self.assertIn(
                name, libraries, f"BUILD needs a py_library {name!r}."
            )
            self.assertEqual(libraries[name], sorted(sources))

    def test_no_target_is_left_without_sources(self):
        for name, target in TARGETS.items():
            self.assertNotEmpty(target.srcs, f"Remove {name!r} from BUILD.")

    def test_sources_exist(self):
        for target in TARGETS.values():
            for source in target.srcs + target.data:
                self.assertTrue((ROOT / source).is_file(), source)

    def test_libraries_and_tools_depend_on_what_they_import(self):
        wrong = []
        for name, target in TARGETS.items():
            if name == "kure_tf" or target.kind == "py_test":
                continue
            if sorted(target.deps) != needed(target):
                wrong.append(as_written(name, needed(target)))
        self.assertEmpty(wrong, "\n".join(wrong))

    def test_kure_tf_depends_on_all_its_parts(self):
        """Its heavier names are imported when they are first asked for."""
        labels = sorted(f":{name}" for name in PARTS if name != "kure_tf")
        self.assertEqual(
            sorted(TARGETS["kure_tf"].deps),
            labels,
            as_written("kure_tf", labels),
        )

    def test_tests_depend_on_what_they_import_at_least(self):
        wrong = []
        for name, target in TARGETS.items():
            missing = set(needed(target)) - set(target.deps)
            if target.kind == "py_test" and missing:
                wrong.append(f"In BUILD, {name!r} lacks {sorted(missing)}.")
        self.assertEmpty(wrong, "\n".join(wrong))

    def test_dependencies_exist(self):
        locked = (ROOT / "constraints.txt").read_text(encoding="utf-8")
        names = {
            line.split("==")[0].replace("-", "_").replace(".", "_").lower()
            for line in locked.splitlines()
            if "==" in line
        }
        for target in TARGETS.values():
            for label in target.deps:
                known, name = (
                    (names, label.removeprefix("@pypi//"))
                    if label.startswith("@pypi//")
                    else (TARGETS, label.removeprefix(":"))
                )
                self.assertIn(name, known, f"In {target.name!r}: {label}")

    def test_every_test_file_has_a_target_named_after_it(self):
        for source in glob(["tests/**/*_test.py"]):
            self._check_named_after("py_test", source)

    def test_every_tool_has_a_target_named_after_it(self):
        """Files of flags that tools share are libraries."""
        for source in glob(["tools/**/*.py"]):
            text = (ROOT / source).read_text(encoding="utf-8")
            kind = "py_binary" if "__main__" in text else "py_library"
            self._check_named_after(kind, source)

    def _check_named_after(self, kind, source):
        name = source.removesuffix(".py")
        target = TARGETS.get(name)
        self.assertTrue(
            target and target.kind == kind and target.srcs == (source,),
            f"BUILD needs {kind}(name = {name!r}, srcs = [{source!r}], ...).",
        )

    def test_package_data_is_installed_and_in_build(self):
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg", encoding="utf-8")
        installed = {
            path
            for package, patterns in setup["options.package_data"].items()
            for pattern in patterns.split(",")
            for path in glob([f"{package.replace('.', '/')}/{pattern.strip()}"])
        }
        libraries = [TARGETS[name] for name in PARTS if name in TARGETS]
        built = {path for target in libraries for path in target.data}
        files = {
            path
            for path in glob(["kure_tf/**/*"])
            if not path.endswith((".py", ".pyc"))
        }
        self.assertEqual(installed, files, "setup.cfg, options.package_data")
        # Type checkers alone read the other one.
        files.remove("kure_tf/py.typed")
        self.assertEqual(built, files, "BUILD, data of the libraries")


class ModuleTest(absltest.TestCase):
    def test_version_is_that_of_kure_tf(self):
        version = {}
        exec((ROOT / "kure_tf" / "version.py").read_text("utf-8"), version)
        tree = ast.parse((ROOT / "MODULE.bazel").read_text(encoding="utf-8"))
        (call,) = (
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "module"
        )
        arguments = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
        self.assertEqual(
            arguments, {"name": "kure_tf", "version": version["__version__"]}
        )


if __name__ == "__main__":
    absltest.main()
