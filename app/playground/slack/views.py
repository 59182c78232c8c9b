"""`views.*`: modals and the Home tab.

Outside contract: https://docs.slack.dev/surfaces/modals
"""

from __future__ import annotations

import secrets
from typing import Any

from .blocks import check_view
from .calls import SlackCall, SlackMethod
from .posting import with_ids
from .refusals import SlackRefusal, invalid_arguments
from .shapes import view_shape
from .world import Json, SlackUser, SlackView, SlackWorld


async def open_view(call: SlackCall) -> Json:
    given = check_view(call.structure("view"), "modal")
    user = call.world.take_trigger(call.required("trigger_id"))
    if user.team is not call.team:
        raise SlackRefusal("invalid_trigger_id")
    return {"view": view_shape(call.world, show(call.world, user, given))}


async def update(call: SlackCall) -> Json:
    given = check_view(call.structure("view"), "modal")
    view = _find(call)
    wanted = call.text("hash")
    if wanted and wanted != view.hash:
        raise SlackRefusal("hash_conflict")
    change(view, given)
    return {"view": view_shape(call.world, view)}


async def publish(call: SlackCall) -> Json:
    given = check_view(call.structure("view"), "home")
    user = call.world.users.get(call.required("user_id"))
    if user is None or user.team is not call.team:
        raise invalid_arguments("invalid user_id")
    view = SlackView(call.world.new_id("V"), user, given, _new_hash())
    call.world.homes[user.id] = view
    return {"view": view_shape(call.world, view)}


def show(world: SlackWorld, user: SlackUser, given: Json) -> SlackView:
    """Open a modal for a person."""
    view = SlackView(world.new_id("V"), user, {}, "")
    change(view, given)
    world.views[view.id] = view
    return view


def change(view: SlackView, given: Json) -> None:
    """Show something else in a modal."""
    view.view = given | {"blocks": with_ids(given["blocks"])}
    view.hash = _new_hash()


def _find(call: SlackCall) -> SlackView:
    wanted: Any = call.text("view_id")
    view = call.world.views.get(wanted)
    external = call.text("external_id")
    if external:
        views = call.world.views.values()
        view = next((one for one in views if one.view.get("external_id") == external), None)
    if view is None or not view.is_open or view.user.team is not call.team:
        raise SlackRefusal("not_found")
    return view


def _new_hash() -> str:
    return secrets.token_hex(6)


METHODS = [
    SlackMethod("views.open", open_view),
    SlackMethod("views.update", update),
    SlackMethod("views.publish", publish),
]
