"""Check the gateway's health: exit with 0 if it has a replica that can predict, over both protocols."""

import json
import sys
import urllib.request

PAGE = "http://127.0.0.1:9901/stats?format=json&filter=cluster\\.torchserve_(rest|grpc)\\.membership_healthy"


def main() -> int:
    try:
        with urllib.request.urlopen(PAGE, timeout=5) as answer:
            healthy = {entry["name"]: entry["value"] for entry in json.load(answer)["stats"]}
    except OSError as error:
        print(f"gateway: Envoy does not answer yet: {error}", file=sys.stderr)
        return 1
    if len(healthy) == 2 and all(healthy.values()):
        return 0
    print("gateway: no replica of TorchServe is ready; see: docker compose logs torchserve", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
