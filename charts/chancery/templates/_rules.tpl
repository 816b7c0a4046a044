{{- /* What the operator may do in each namespace that it looks at. */ -}}
{{- define "chancery.namespacedRules" -}}
- apiGroups: [chancery.dev]
  resources:
    - certificateauthorities
    - certificateprofiles
    - enrollmentmethods
    - enrollmentcredentials
    - enrollmentservers
    - chanceryissuers
    - certificaterevocations
  verbs: [get, list, watch, update, patch]
- apiGroups: [chancery.dev]
  resources:
    - certificateauthorities/status
    - certificateprofiles/status
    - enrollmentmethods/status
    - enrollmentcredentials/status
    - enrollmentservers/status
    - chanceryissuers/status
    - certificaterevocations/status
  verbs: [get, update, patch]
- apiGroups: [chancery.dev]
  resources:
    - certificateauthorities/finalizers
    - enrollmentcredentials/finalizers
    - enrollmentservers/finalizers
  verbs: [update]
# Parts and manifests for servers, values of credentials, keys in its own namespace. Secrets that resources refer to are
# read by name; all others are watched by their metadata alone, which RBAC cannot tell apart.
- apiGroups: [""]
  resources: [secrets, configmaps]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, update, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch, update]
- apiGroups: [apps]
  resources: [statefulsets, deployments]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, update, patch, delete]
# The role of a server's own account, which is: read the Secrets of its namespace. Nobody can grant what they do not have.
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [cert-manager.io]
  resources: [certificaterequests]
  verbs: [get, list, watch]
- apiGroups: [cert-manager.io]
  resources: [certificaterequests/status]
  verbs: [get, update, patch]
{{- end -}}
