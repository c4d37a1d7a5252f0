variable "name" {
  description = "Name of the function, its role and its log."
  type        = string
  default     = "acip-gateway"
}

variable "package" {
  description = "Path of the zip that holds `bootstrap`, as `cargo lambda build --output-format zip` makes it."
  type        = string
}

variable "architecture" {
  description = "What the program was built for: arm64 or x86_64."
  type        = string
  default     = "arm64"
  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "Write arm64 or x86_64."
  }
}

variable "origins" {
  description = "FastAPI servers, each a URL with its options (FASTAPI_URL)."
  type        = list(string)
  validation {
    condition     = length(var.origins) > 0
    error_message = "Name at least one origin."
  }
}

variable "memory_megabytes" {
  description = "Memory of an instance; its share of a processor grows with it."
  type        = number
  default     = 256
}

variable "timeout_seconds" {
  description = "Longest time a request may take, streams included."
  type        = number
  default     = 300
}

variable "log_retention_days" {
  description = "How long access records are kept."
  type        = number
  default     = 30
}

variable "secrets" {
  description = "Variables whose values are read from the Parameter Store when an instance starts, by the parameter's name."
  type        = map(string)
  default = {
    REDIS_URL     = "/acip/redis-url"
    AUTH_API_KEYS = "/acip/api-keys"
    ADMIN_TOKEN   = "/acip/admin-token"
  }
}

variable "secrets_extension" {
  description = "ARN of AWS's layer Parameters and Secrets for this region and architecture."
  type        = string
}

variable "secrets_key" {
  description = "ARN of the KMS key of the secrets, where it is not the account's own for the Parameter Store."
  type        = string
  default     = null
}

variable "variables" {
  description = "Further variables of the gateway; docs/configuration.md lists them."
  type        = map(string)
  default     = {}
}

variable "subnet_ids" {
  description = "Subnets from which the origins and a Redis in a VPC are reached; empty for none."
  type        = list(string)
  default     = []
}

variable "security_group_ids" {
  description = "Security groups in that VPC."
  type        = list(string)
  default     = []
}
