{{- /* What a schema cannot say well: what is missing, and secrets where they would be in a ConfigMap. */ -}}
{{- define "zhongkong.refusals" -}}
{{- $config := .Values.config -}}
{{- if not $config.redis.url -}}
{{- fail "config.redis.url: say where Redis is, such as redis://redis:6379/0" -}}
{{- end -}}
{{- if not (or $config.credentials $config.include) -}}
{{- fail "config.credentials: name at least one account, or `config.include` with files of them" -}}
{{- end -}}
{{- $public := not (regexMatch "^(127\\.|\\[::1\\])" $config.http.listen) -}}
{{- if not $public -}}
{{- fail "config.http.listen: probes come from outside of the pod; listen on 0.0.0.0 or [::]" -}}
{{- end -}}
{{- if not $config.http.tokens -}}
{{- fail "config.http.tokens: the interface listens beyond loopback, so name at least one token, such as { name: operator, scope: admin, secret: { file: /run/secrets/zhongkong/operator } }" -}}
{{- end -}}
{{- $secrets := dict "config.redis.password" $config.redis.password "config.redis.sentinel_password" $config.redis.sentinel_password -}}
{{- range $index, $token := $config.http.tokens -}}
{{- $_ := set $secrets (printf "config.http.tokens[%d].secret" $index) $token.secret -}}
{{- end -}}
{{- range $index, $credential := $config.credentials -}}
{{- $_ := set $secrets (printf "config.credentials[%d].secret" $index) $credential.secret -}}
{{- end -}}
{{- range $index, $receiver := $config.notify -}}
{{- $_ := set $secrets (printf "config.notify[%d].url" $index) $receiver.url -}}
{{- $_ := set $secrets (printf "config.notify[%d].secret" $index) $receiver.secret -}}
{{- end -}}
{{- range $key, $value := $secrets -}}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) -}}
{{- fail (printf "%s: a secret would stand in a ConfigMap; put it into a Secret, and name its file: { file: /run/secrets/zhongkong/KEY }" $key) -}}
{{- end -}}
{{- end -}}
{{- range $key, $value := dict "config.redis.url" $config.redis.url "config.upstream.proxy" (dig "upstream" "proxy" "" $config) -}}
{{- if regexMatch "://[^/@]*:[^/@]*@" $value -}}
{{- fail (printf "%s: its password would stand in a ConfigMap; %s" $key (ternary "use config.redis.password" "give it by extraEnv, as ZHONGKONG__UPSTREAM__PROXY from a Secret" (eq $key "config.redis.url"))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
