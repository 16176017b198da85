{{- define "zhongkong.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "zhongkong.fullname" -}}
{{- $name := include "zhongkong.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "zhongkong.selectorLabels" -}}
app.kubernetes.io/name: {{ include "zhongkong.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: worker
{{- end -}}

{{- define "zhongkong.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "zhongkong.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "zhongkong.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* The port of config.http.listen. */ -}}
{{- define "zhongkong.port" -}}
{{- regexFind "[0-9]+$" .Values.config.http.listen -}}
{{- end -}}

{{- /* How the interface is spoken to: encrypted where it has a certificate. */ -}}
{{- define "zhongkong.scheme" -}}
{{- ternary "https" "http" (not (empty .Values.config.http.tls_cert)) -}}
{{- end -}}

{{- /* A duration such as "5s" or "1m 500ms", in whole seconds, rounded up. */ -}}
{{- define "zhongkong.seconds" -}}
{{- $text := . -}}
{{- $rest := regexReplaceAll "[0-9]+ *(ms|mins?|m|secs?|s) *" $text "" -}}
{{- if or $rest (not $text) -}}
{{- fail (printf "config.refresh.request_timeout: %q is no time such as \"5s\" or \"1m 500ms\"" $text) -}}
{{- end -}}
{{- $ms := 0 -}}
{{- range regexFindAll "[0-9]+ *[a-z]+" $text -1 -}}
{{- $number := regexFind "[0-9]+" . | int64 -}}
{{- $unit := regexFind "[a-z]+" . -}}
{{- $factor := ternary 1 (ternary 60000 1000 (hasPrefix "m" $unit)) (eq $unit "ms") -}}
{{- $ms = add $ms (mul $number $factor) -}}
{{- end -}}
{{- div (add $ms 999) 1000 -}}
{{- end -}}

{{- define "zhongkong.gracePeriod" -}}
{{- $timeout := dig "refresh" "request_timeout" "5s" .Values.config -}}
{{- add .Values.preStopSeconds (include "zhongkong.seconds" $timeout | int64) 2 3 -}}
{{- end -}}

{{- /* The same files in the workers and in the test. */ -}}
{{- define "zhongkong.volumeMounts" -}}
- name: configuration
  mountPath: /etc/zhongkong
  readOnly: true
{{- if or .Values.secrets.existing .Values.secrets.create }}
- name: secrets
  mountPath: /run/secrets/zhongkong
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "zhongkong.volumes" -}}
- name: configuration
  configMap:
    name: {{ include "zhongkong.fullname" . }}
{{- if or .Values.secrets.existing .Values.secrets.create }}
# A directory, not single files: what changes in a Secret is there within a minute, and workers read it again.
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- if .Values.secrets.create }}
      - secret:
          name: {{ include "zhongkong.fullname" . }}
      {{- end }}
      {{- range .Values.secrets.existing }}
      - secret:
          name: {{ . }}
      {{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "zhongkong.securityContext" -}}
{{- $kept := dict -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $kept $key $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $kept -}}
{{- end -}}
