(******************************************************************************)
(*      A float is an exact number, correctly rounded, or near it             *)
(*                                                                            *)
(*   within k r b == the float r is at most 2^b from the number k             *)
(*   half_ulp q m e == |q - m 2^e| <= 2^(e-1), for a form q without input     *)
(*   nearest == then no integer multiple of 2^e is closer to q                *)
(******************************************************************************)
Require Import List ZArith QArith Qpower Qabs Bool Lia.
From AlgebraicCNN.checker Require Import rational.
Open Scope Z_scope.

Record rounded := Rounded { digits : Z; place : Z }.
Definition as_rational (r : rounded) : Q := fraction (digits r) (place r) 1.
(* 2 |m 2^e / d - m' 2^e'| <= 2^e', in integers *)
Definition half_ulp (k : number) (r : rounded) : bool :=
  let low := Z.min (exponent k) (place r) in
  let q := mantissa k * 2 ^ (exponent k - low) in
  let y := digits r * 2 ^ (place r - low) * Zpos (divisor k) in
  2 * Z.abs (q - y) <=? 2 ^ (place r - low) * Zpos (divisor k).
(* |m 2^e / d - m' 2^e'| <= 2^b, in integers *)
Definition within (b : Z) (k : number) (r : rounded) : bool :=
  let low := Z.min (Z.min (exponent k) (place r)) b in
  let q := mantissa k * 2 ^ (exponent k - low) in
  let y := digits r * 2 ^ (place r - low) * Zpos (divisor k) in
  Z.abs (q - y) <=? 2 ^ (b - low) * Zpos (divisor k).

Open Scope Q_scope.
Lemma scaled m e d low : (low <= e)%Z -> fraction m e d == inject_Z (m * 2 ^ (e - low)) * (2 # 1) ^ low / inject_Z (Zpos d).
Proof.
intro L. unfold fraction. rewrite inject_Z_mult, power_two by lia.
setoid_replace ((2 # 1) ^ e) with ((2 # 1) ^ (e - low) * (2 # 1) ^ low).
- field. apply pos_nonzero.
- rewrite <- Qpower_plus by exact two_nonzero. now replace (e - low + low)%Z with e by lia.
Qed.
Lemma abs_scaled a low d : Qabs (inject_Z a * (2 # 1) ^ low / inject_Z (Zpos d))
  == inject_Z (Z.abs a) * (2 # 1) ^ low / inject_Z (Zpos d).
Proof.
unfold Qdiv. rewrite !Qabs_Qmult. rewrite (Qabs_pos ((2 # 1) ^ low)) by (apply Qpower_pos; discriminate).
rewrite (Qabs_pos (/ inject_Z (Zpos d))) by (apply Qinv_le_0_compat; discriminate). reflexivity.
Qed.
Lemma scaled_le a b low d : (a <= b)%Z ->
  inject_Z a * (2 # 1) ^ low / inject_Z (Zpos d) <= inject_Z b * (2 # 1) ^ low / inject_Z (Zpos d).
Proof.
intro H. unfold Qdiv. apply Qmult_le_compat_r; [|apply Qinv_le_0_compat; discriminate].
apply Qmult_le_compat_r; [now rewrite <- Zle_Qle|apply Qpower_pos; discriminate].
Qed.

(* the distance of a number from any multiple of the place *)
Lemma distance low k n e : (low <= exponent k)%Z -> (low <= e)%Z ->
  Qabs (rational k - fraction n e 1) == inject_Z (Z.abs (mantissa k * 2 ^ (exponent k - low) - n * 2 ^ (e - low) * Zpos (divisor k)))
    * (2 # 1) ^ low / inject_Z (Zpos (divisor k)).
Proof.
intros Lk Le. rewrite <- abs_scaled. apply Qabs_wd. unfold rational.
rewrite (scaled (mantissa k) (exponent k) (divisor k) low), (scaled n e 1 low) by assumption.
set (a := (mantissa k * 2 ^ (exponent k - low))%Z). set (b := (n * 2 ^ (e - low))%Z).
rewrite <- Z.add_opp_r, inject_Z_plus, inject_Z_opp, (inject_Z_mult _ (Zpos (divisor k))).
change (inject_Z 1) with 1. field. apply pos_nonzero.
Qed.

Theorem nearest k r n : half_ulp k r = true ->
  Qabs (rational k - as_rational r) <= Qabs (rational k - fraction n (place r) 1).
Proof.
intro H. unfold as_rational. rewrite !(distance (Z.min (exponent k) (place r))) by lia. apply scaled_le.
unfold half_ulp in H. apply Z.leb_le in H. set (low := Z.min _ _) in *.
set (u := (2 ^ (place r - low) * Zpos (divisor k))%Z) in *. set (q := (mantissa k * 2 ^ (exponent k - low))%Z) in *.
assert (U : (0 < u)%Z) by (unfold u; apply Z.mul_pos_pos; [apply Z.pow_pos_nonneg; lia|lia]).
replace (digits r * 2 ^ (place r - low) * Zpos (divisor k))%Z with (digits r * u)%Z in * by (unfold u; ring).
replace (n * 2 ^ (place r - low) * Zpos (divisor k))%Z with (n * u)%Z by (unfold u; ring).
destruct (Z.eq_dec n (digits r)) as [->|N]; [lia|].
assert (u <= Z.abs (digits r * u - n * u))%Z.
{ rewrite <- Z.mul_sub_distr_r, Z.abs_mul, (Z.abs_eq u) by lia. nia. }
lia.
Qed.

Theorem withinP b k r : within b k r = true -> Qabs (rational k - as_rational r) <= (2 # 1) ^ b.
Proof.
unfold within. set (low := Z.min (Z.min (exponent k) (place r)) b). intro H. apply Z.leb_le in H.
unfold as_rational. rewrite (distance low) by (unfold low; lia).
setoid_replace ((2 # 1) ^ b) with (inject_Z (2 ^ (b - low) * Zpos (divisor k)) * (2 # 1) ^ low / inject_Z (Zpos (divisor k))).
- now apply scaled_le.
- rewrite inject_Z_mult, power_two by (unfold low; lia).
  setoid_replace ((2 # 1) ^ b) with ((2 # 1) ^ (b - low) * (2 # 1) ^ low).
  + field. apply pos_nonzero.
  + rewrite <- Qpower_plus by exact two_nonzero. now replace (b - low + low)%Z with b by lia.
Qed.

Print Assumptions nearest.
Print Assumptions withinP.
