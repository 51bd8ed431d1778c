{{/* Every name in this chart. One installation per cluster (or per watched namespace) is meant, so it is fixed. */}}
{{- define "aimass.name" -}}
aimass-operator
{{- end -}}

{{/* Names of what lies outside of a namespace: the release's namespace keeps two installations apart. */}}
{{- define "aimass.clusterName" -}}
{{- if eq .Release.Namespace "aimass-system" -}}aimass-operator{{- else -}}aimass-operator-{{ .Release.Namespace }}{{- end -}}
{{- end -}}

{{- define "aimass.selector" -}}
app.kubernetes.io/name: aimass-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "aimass.labels" -}}
{{ include "aimass.selector" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: aimass
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "aimass.leaseNamespace" -}}
{{ .Values.leaseNamespace | default .Release.Namespace }}
{{- end -}}
