<?php
// A service that keeps its token where EasyWeChat 6 keeps it with Symfony's cache, under EasyWeChat's key.
// It stands for EasyWeChat, and does what its class does: read, and fetch what is absent.

require '/usr/share/php/Psr/SimpleCache/autoload.php';
require '/usr/share/php/Symfony/Component/Cache/autoload.php';

use Symfony\Component\Cache\Adapter\RedisAdapter;
use Symfony\Component\Cache\Psr16Cache;

[$appId, $secret] = [getenv('APP_ID'), getenv('SECRET')];
$cache = new Psr16Cache(new RedisAdapter(RedisAdapter::createConnection(getenv('REDIS_URL'))));
$key = "official_account.access_token.$appId.$secret.0";

function ask(string $path, array $query): array
{
    $context = stream_context_create(['http' => ['timeout' => 5], 'ssl' => ['cafile' => getenv('SSL_CERT_FILE')]]);
    $body = @file_get_contents("https://api.weixin.qq.com/cgi-bin/$path?" . http_build_query($query), false, $context);
    return $body === false ? ['errcode' => 'no answer'] : json_decode($body, true);
}

while (true) {
    $token = $cache->get($key);
    if (!is_string($token) || $token === '') {
        $answer = ask('token', ['grant_type' => 'client_credential', 'appid' => $appId, 'secret' => $secret]);
        $token = $answer['access_token'] ?? null;
        if ($token !== null) {
            $cache->set($key, $token, (int) $answer['expires_in']);
        }
    }
    $answer = $token === null ? $answer : ask('get_api_domain_ip', ['access_token' => $token]);
    if (!empty($answer['errcode'])) {
        echo "failed: {$answer['errcode']}\n";
    }
    usleep(50_000);
}
