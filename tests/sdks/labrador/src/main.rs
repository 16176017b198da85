//! A service that uses labrador with its session in Redis.

use std::time::Duration;

use labrador::{LabraRequest, LabradorResult, Method, redis_store::RedisStorage, RequestType, SessionStore, WechatMpClient};
use serde_json::Value;

const PROBE: &str = "https://api.weixin.qq.com/cgi-bin/get_api_domain_ip";

#[tokio::main]
async fn main() {
    let of = |name: &str| std::env::var(name).expect(name);
    let session = RedisStorage::from_url(of("REDIS_URL"));
    let client = WechatMpClient::from_session(of("APP_ID"), of("SECRET"), session);
    loop {
        match call(&client).await {
            Ok(answer) if answer["errcode"].as_i64().unwrap_or(0) != 0 => println!("failed: {}", answer["errcode"]),
            Ok(_) => {}
            Err(error) => println!("failed: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn call<S: SessionStore>(client: &WechatMpClient<S>) -> LabradorResult<Value> {
    let token = client.access_token(false).await?;
    let request = LabraRequest::<String>::new().url(PROBE.to_owned()).method(Method::Get);
    let request = request.params(vec![("access_token".to_owned(), token)]).req_type(RequestType::Json);
    request.request().await?.json::<Value>()
}
