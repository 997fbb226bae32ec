"""What the wheel needs when it runs, as a bill of materials in CycloneDX's JSON.

The versions are those that are installed where it is made: the ones that the release was tested with. What only an
extra brings is marked as optional.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.utils import parse_wheel_filename

from release.dependencies import Package


def bill_of_materials(wheel: Path, packages: Iterable[Package], *, made_at: int) -> str:
    """The text of the bill.

    Args:
        wheel: what is released.
        packages: what it needs.
        made_at: seconds since 1970; the same wheel, packages and time give the same text.

    Raises:
        ValueError: the bill does not keep to CycloneDX's schema.
    """
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    main = _main_component(wheel, digest)
    parts = {package.name: _component(package) for package in packages}
    bill = Bom(
        serial_number=uuid5(NAMESPACE_URL, digest),
        metadata=BomMetaData(component=main, timestamp=datetime.fromtimestamp(made_at, UTC)),
        components=parts.values(),
    )
    bill.register_dependency(main, [parts[package.name] for package in packages if package.is_direct])
    for package in packages:
        bill.register_dependency(parts[package.name], [parts[name] for name in package.needs])
    return _checked(JsonV1Dot6(bill).output_as_string(indent=2) + "\n")


def _main_component(wheel: Path, digest: str) -> Component:
    name, version, _, _ = parse_wheel_filename(wheel.name)
    return Component(
        name=name,
        version=str(version),
        type=ComponentType.APPLICATION,
        bom_ref=str(name),
        licenses=[LicenseFactory().make_with_id("MIT")],
        purl=PackageURL("pypi", name=name, version=str(version)),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )


def _component(package: Package) -> Component:
    return Component(
        name=package.name,
        version=package.version or None,
        bom_ref=package.name,
        scope=ComponentScope.REQUIRED if "" in package.extras else ComponentScope.OPTIONAL,
        licenses=[LicenseFactory().make_from_string(package.licence)],
        purl=PackageURL("pypi", name=package.name, version=package.version or None),
    )


def _checked(text: str) -> str:
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise ValueError(f"the bill of materials does not keep to CycloneDX 1.6: {error}")
    return text
