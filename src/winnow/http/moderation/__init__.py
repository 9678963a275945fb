"""Routes about content: decide, policies, appeals, review, and the doors for clients of other services."""

from fastapi import APIRouter

from winnow.http.moderation import appeals, decisions, doors, policies, review

router = APIRouter(tags=["moderation"])
for part in (decisions, policies, appeals, review, doors):
    router.include_router(part.router)
