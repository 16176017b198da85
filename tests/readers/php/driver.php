<?php
// One call for each line of input; what happened is printed.

require 'guide.php';

function request(string $token): array
{
    $url = getenv('SIMULATOR_URL') . '/cgi-bin/get_api_domain_ip?access_token=' . $token;
    $context = stream_context_create(['http' => ['timeout' => 5]]);
    $answer = json_decode(file_get_contents($url, false, $context), true, 512, JSON_THROW_ON_ERROR);
    echo $answer['errcode'] ?? 'accepted', ' ', $token, "\n";
    return $answer;
}

while (fgets(STDIN) !== false) {
    try {
        call(getenv('CREDENTIAL_ID'), 'request');
        echo "done\n";
    } catch (Exception $error) {
        echo 'failed: ', $error->getMessage(), "\n";
    }
}
