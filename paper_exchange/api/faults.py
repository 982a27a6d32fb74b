"""``/admin/faults``: faults on demand, while the exchange runs."""

from paper_exchange.api.call import Call, Reply, Router
from paper_exchange.errors import invalid, not_found
from paper_exchange.faults.spec import parse_json, parse_text
from paper_exchange.faults.values import BadFault


def list_faults(call: Call) -> Reply:
    """``GET /admin/faults``: the rules in force, with how often each has struck."""
    return Reply({"faults": [rule.render() for rule in call.exchange.faults]})


def add_fault(call: Call) -> Reply:
    """``POST /admin/faults``: one rule, as an object or as ``{"text": "TARGET: KIND ..."}``."""
    body = call.body()
    text = body.get("text")
    try:
        if set(body) == {"text"} and isinstance(text, str):
            spec = parse_text(text)
        else:
            spec = parse_json(body)
    except BadFault as bad:
        raise invalid(str(bad)) from None
    return Reply(call.exchange.faults.add(spec).render())


def remove_fault(call: Call) -> Reply:
    """``DELETE /admin/faults/{id}``."""
    if not call.exchange.faults.remove(call.params["id"]):
        raise not_found(f"fault not found for {call.params['id']}")
    return Reply(status=204)


def remove_all(call: Call) -> Reply:
    """``DELETE /admin/faults``."""
    call.exchange.faults.clear()
    return Reply(status=204)


def release_cancels(call: Call) -> Reply:
    """``POST /admin/release-cancels``: cancels that hang take effect now."""
    exchange = call.exchange
    return Reply({"released": exchange.engine.release_cancels(list(exchange.accounts))})


def add_routes(router: Router) -> None:
    """Serve this module's endpoints."""
    router.add("GET", "/admin/faults", list_faults)
    router.add("POST", "/admin/faults", add_fault)
    router.add("DELETE", "/admin/faults", remove_all)
    router.add("DELETE", "/admin/faults/{id}", remove_fault)
    router.add("POST", "/admin/release-cancels", release_cancels)
