// A service that uses node-easywechat with a cache in Redis; the library brings none of its own.

import Redis from "ioredis";
import { CacheInterface, OfficialAccount } from "node-easywechat";

const { APP_ID, SECRET, REDIS_URL } = process.env;
const redis = new Redis(REDIS_URL);

class RedisCache extends CacheInterface {
  async get(key) {
    return redis.get(key);
  }
  async has(key) {
    return (await redis.exists(key)) === 1;
  }
  async set(key, data, lifetime) {
    return (await redis.set(key, data, "EX", lifetime)) === "OK";
  }
  async delete(key) {
    return (await redis.del(key)) === 1;
  }
}

const app = new OfficialAccount({ app_id: APP_ID, secret: SECRET });
app.setCache(new RedisCache());

while (true) {
  try {
    const answer = (await app.getClient().get("cgi-bin/get_api_domain_ip")).toObject();
    if (answer.errcode) console.log("failed:", answer.errcode);
  } catch (error) {
    console.log("failed:", error.message);
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
}
