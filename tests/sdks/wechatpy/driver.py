"""A service that uses wechatpy with its session in Redis. It calls twenty times a second, and says what failed."""

import os
import time

from redis import Redis
from wechatpy import WeChatClient
from wechatpy.session.redisstorage import RedisStorage

session = RedisStorage(Redis.from_url(os.environ["REDIS_URL"]), prefix="wechatpy")
client = WeChatClient(os.environ["APP_ID"], os.environ["SECRET"], session=session, timeout=5)

while True:
    try:
        client.get("get_api_domain_ip")
    except Exception as error:  # whatever it is, the service could not do its work
        print("failed:", type(error).__name__, error, flush=True)
    time.sleep(0.05)
