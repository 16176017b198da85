// A service that uses co-wechat-api with its token in Redis, in the way that its documentation shows.

import Redis from "ioredis";
import WechatAPI from "co-wechat-api";

const { APP_ID, SECRET, REDIS_URL } = process.env;
const redis = new Redis(REDIS_URL);
const key = `wechat:${APP_ID}:access_token`;
const api = new WechatAPI(
  APP_ID,
  SECRET,
  async () => JSON.parse((await redis.get(key)) ?? "null"),
  async (token) => redis.set(key, JSON.stringify(token)),
);

while (true) {
  try {
    const { accessToken } = await api.ensureAccessToken();
    await api.request(`${api.prefix}get_api_domain_ip?access_token=${accessToken}`);
  } catch (error) {
    console.log("failed:", error.message);
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
}
