"""One call for each line of input; what happened is printed."""

import json
import os
import sys
import urllib.request

from guide import call


def request(token):
    url = f"{os.environ['SIMULATOR_URL']}/cgi-bin/get_api_domain_ip?access_token={token}"
    with urllib.request.urlopen(url, timeout=5) as response:
        answer = json.load(response)
    print(answer.get("errcode", "accepted"), token, flush=True)
    return answer


for _ in sys.stdin:
    try:
        call(os.environ["CREDENTIAL_ID"], request)
        print("done", flush=True)
    except Exception as error:
        print("failed:", error, flush=True)
