// A service that uses nest-wechat with cache-manager's store for Redis.

const axios = require("axios");
const cacheManager = require("cache-manager");
const redisStore = require("cache-manager-ioredis");
const { RedisCache, WeChatService } = require("nest-wechat");

const { APP_ID, SECRET, REDIS_URL } = process.env;
const { hostname: host, port } = new URL(REDIS_URL);
const cache = cacheManager.caching({ store: redisStore, host, port: Number(port) });
const service = new WeChatService({ appId: APP_ID, secret: SECRET });
service.cacheAdapter = new RedisCache(cache);

async function run() {
  while (true) {
    try {
      const token = await service.getToken(APP_ID, SECRET);
      const { data } = await axios.get(`https://api.weixin.qq.com/cgi-bin/get_api_domain_ip?access_token=${token}`);
      if (data.errcode) console.log("failed:", data.errcode);
    } catch (error) {
      console.log("failed:", error.message);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

run();
