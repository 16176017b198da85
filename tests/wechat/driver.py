"""A service with wechatpy, whose address for tokens is a worker's: one call of the platform for each line of its input."""

import os
import sys

from wechatpy import WeChatClient
from wechatpy.exceptions import WeChatClientException

WORKER = os.environ["WORKER_URL"]


class Client(WeChatClient):
    API_BASE_URL = os.environ["SIMULATOR_URL"] + "/cgi-bin/"

    def fetch_access_token(self):
        params = {"grant_type": "client_credential", "appid": self.appid, "secret": self.secret}
        return self._fetch_access_token(WORKER + "/cgi-bin/token", params)


client = Client(os.environ["APP_ID"], os.environ["SHOP_SECRET"])
for _line in sys.stdin:
    try:
        client.get("get_api_domain_ip")
        print("accepted", client.session.get(client.access_token_key), flush=True)
    except WeChatClientException as error:
        print("refused", error.errcode, flush=True)
