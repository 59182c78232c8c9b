"""Terraform."""

from __future__ import annotations

from app.ecosystems.ecosystem import Ecosystem, Generated

ECOSYSTEM = Ecosystem(
    name="terraform",
    recognized_by=("*.tf",),
    generated=(Generated(anywhere=(".terraform/",)),),
)
